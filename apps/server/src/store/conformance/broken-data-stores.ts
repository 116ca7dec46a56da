import type { Store } from '../ports.ts'
import { type BrokenStore, override } from './broken-stores.ts'

/** Faults that a store may have in its streams, keys and values. */
export const brokenDataStores: readonly BrokenStore[] = [
  {
    fault: 'gives values whose time is over',
    break: (store) => withKv(store, { read: (scope, name, keys, options) => store.kv.read(scope, name, keys, { ...options, now: 0 }) }),
    caughtBy: [
      'an expired key is gone for every call at once, swept or not',
      'any history of writes, time and restarts agrees with the model of keys and values',
    ],
  },
  {
    fault: 'sets a key whatever its revision is',
    break: (store) =>
      withKv(store, {
        write(request) {
          const writes = request.writes.map((write) =>
            write.type === 'set' ? { ...write, ifRevision: undefined, ifAbsent: false } : write,
          )
          return store.kv.write({ ...request, writes })
        },
      }),
    caughtBy: ['compare-and-set and set-if-absent hold or change nothing', 'of concurrent compare-and-sets, one wins'],
  },
  {
    fault: 'carries out a repeated request again',
    break: (store) =>
      override(store, {
        kv: override(store.kv, { write: (request) => store.kv.write({ ...request, requestId: '' }) }),
        streams: override(store.streams, { write: (request) => store.streams.write({ ...request, requestId: '' }) }),
      }),
    caughtBy: ['a repeated request answers as the first did', 'a repeated write answers as the first did and writes nothing'],
  },
  {
    fault: 'lets any member commit',
    break: (store) =>
      override(store, {
        streams: override(store.streams, {
          commit(scope, stream, commits, now) {
            const unfenced = commits.map((commit) => ({ ...commit, member: '' }))
            return store.streams.commit(scope, stream, unfenced, now)
          },
        }),
      }),
    caughtBy: ['a member that is not heard of loses its partitions, and its commits are refused'],
  },
  {
    fault: 'begins one message late',
    break: (store) =>
      override(store, {
        streams: override(store.streams, {
          read: (scope, stream, partition, from) => store.streams.read(scope, stream, partition, { ...from, offset: from.offset + 1 }),
        }),
      }),
    caughtBy: [
      'messages come back as they went in, with offsets from 0 without holes, also after a restart',
      'reads begin and end at any offset, however messages were cut into rows',
    ],
  },
]

function withKv(store: Store, changes: Partial<Store['kv']>): Store {
  return override(store, { kv: override(store.kv, changes) })
}
