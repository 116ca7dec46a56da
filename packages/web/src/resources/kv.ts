import { Kv } from '@millrace/core/adapter'
import {
  clearEntries,
  getKvStore,
  listEntries,
  listEntryHistory,
  readEntries,
  updateKvStore,
  watchEntries,
  writeEntries,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.kv(name)`: one KV store. */
export const kv: Resource<<T = unknown>(name: string) => Kv<T>> = {
  routes: [clearEntries, getKvStore, listEntries, listEntryHistory, readEntries, updateKvStore, watchEntries, writeEntries],
  create: (context) => (name) => new Kv(context, name),
}
