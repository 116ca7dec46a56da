import { Vectors } from '@millrace/core/adapter'
import {
  countVectors,
  createVectorCollection,
  deleteVectorCollection,
  deleteVectors,
  getVectorCollection,
  getVectors,
  hybridSearchVectors,
  searchVectors,
  upsertVectors,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.vectors(name)`: one collection of vectors. */
export const vectors: Resource<<M extends object = Record<string, unknown>>(name: string) => Vectors<M>> = {
  routes: [
    countVectors,
    createVectorCollection,
    deleteVectorCollection,
    deleteVectors,
    getVectorCollection,
    getVectors,
    hybridSearchVectors,
    searchVectors,
    upsertVectors,
  ],
  create: (context) => (name) => new Vectors(context, name),
}
