import { VectorCollections } from '@millrace/core/adapter'
import { listVectorCollections } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.vectorCollections`: the collections of vectors of the namespace. */
export const vectorCollections: Resource<VectorCollections> = {
  routes: [listVectorCollections],
  create: (context) => new VectorCollections(context),
}
