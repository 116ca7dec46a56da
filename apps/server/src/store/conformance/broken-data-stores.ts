import type { Store } from '../ports.ts'
import { compactAfterMs } from '../stream-compaction.ts'
import { plainTraits } from '../trait-port.ts'
import { type BrokenStore, override } from './broken-stores.ts'

const model = 'any history of writes, producers, commits, groups, retention and restarts agrees with the model of streams'

const compactionModel = 'any history of writes by keys leaves what a model of compaction says'

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
    caughtBy: ['a repeated request answers as the first did', 'a repeated write answers as the first did and writes nothing', model],
  },
  {
    fault: 'writes to closed streams of any number, in any order',
    break: (store) =>
      override(store, {
        streams: override(store.streams, {
          write: (request) => {
            const batches = request.batches.map(({ messages, producer }) => ({ messages, producer }))
            return store.streams.write({ ...request, to: undefined, batches })
          },
        }),
      }),
    caughtBy: [
      'a closed stream takes nothing more, and tells those who wait for it',
      'orders only grow, and a write meant for another stream of the name is refused',
    ],
  },
  {
    fault: 'forgets what a stream was created as',
    break: (store) =>
      override(store, {
        streams: override(store.streams, { create: (request) => store.streams.create({ ...request, traits: plainTraits }) }),
      }),
    caughtBy: [
      'a stream is created with what it is and its first messages, once',
      'a stream that is not used ends, and its name is free',
      'a fork has what its source had, and goes its own way',
      'what a source dropped is dropped for its forks',
    ],
  },
  {
    fault: 'forgets who produced what',
    break: (store) =>
      override(store, {
        streams: override(store.streams, {
          write: (request) => store.streams.write({ ...request, batches: request.batches.map(({ messages }) => ({ messages })) }),
        }),
      }),
    caughtBy: [
      'what a producer repeats is answered as it was and not written again, also after a restart',
      'a producer that was replaced, or leaves out a write, writes nothing',
      model,
    ],
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
    caughtBy: ['a member that is not heard of loses its partitions, and its commits are refused', model],
  },
  {
    fault: 'keeps the first parts of a transaction of which a later one is refused',
    break: (store) =>
      override(store, {
        transactions: override(store.transactions, {
          async write(request) {
            const { streams } = await store.transactions.write({ ...request, jobs: [], kv: [], commits: [], requestId: '' })
            return { ...(await store.transactions.write({ ...request, streams: [] })), streams }
          },
        }),
      }),
    caughtBy: [
      'a transaction of which a part is refused changes nothing, and says which part',
      'of transactions that ask for the same revision at the same time, one is carried out',
    ],
  },
  {
    fault: 'removes messages as soon as they are replaced',
    break: (store) =>
      override(store, {
        streams: override(store.streams, { trim: (now, limit) => store.streams.trim(now + compactAfterMs, limit) }),
      }),
    caughtBy: ['compaction keeps the newest message of each key, and those without one; offsets stay', compactionModel],
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
      model,
    ],
  },
]

function withKv(store: Store, changes: Partial<Store['kv']>): Store {
  return override(store, { kv: override(store.kv, changes) })
}
