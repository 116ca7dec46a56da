import { KvStores } from '@millrace/core/adapter'
import { listKvStores } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.kvStores`: the KV stores of the namespace. */
export const kvStores: Resource<KvStores> = { routes: [listKvStores], create: (context) => new KvStores(context) }
