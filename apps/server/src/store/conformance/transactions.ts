import { expect } from 'vitest'
import type { KvWrite } from '../kv-port.ts'
import { JobState } from '../ports.ts'
import type { NewStreamMessage } from '../stream-port.ts'
import type { TransactionRequest, TransactionResult } from '../transaction-port.ts'
import type { Case, Harness } from './harness.ts'

const text = (value: string) => Buffer.from(value)

function message(payload: string, change: Partial<NewStreamMessage> = {}): NewStreamMessage {
  return { payload: text(payload), contentType: '', headers: {}, key: '', ...change }
}

function set(key: string, value: string, change: { ifRevision?: number; ifAbsent?: boolean; expiresAt?: number } = {}): KvWrite {
  return { type: 'set', key, value: text(value), contentType: '', ifAbsent: false, ...change }
}

function write(t: Harness, parts: Partial<TransactionRequest>): Promise<TransactionResult> {
  const none = { streams: [], jobs: [], kv: [], commits: [], requestId: '' }
  return t.store.transactions.write({ scope: t.scope, ...none, now: t.clock.now(), ...parts })
}

/** All that transactions of these cases may have changed. */
async function everything(t: Harness) {
  const { streams, kv, jobs, queues } = t.store
  const read = async (stream: string) => {
    if (!(await streams.describe(t.scope, stream))) return undefined
    const { slices } = await streams.read(t.scope, stream, 0, { offset: 0, maxMessages: 100, maxBytes: 1 << 20 })
    return slices.flatMap(({ messages }) => messages.map(({ payload }) => Buffer.from(payload).toString()))
  }
  const entries = await kv.list(t.scope, 'store', { prefix: '', limit: 100, values: true, now: t.clock.now() })
  return {
    in: await read('in'),
    out: await read('out'),
    committed: await streams.committed(t.scope, 'in', 'g').catch(() => undefined),
    keys: entries.items.map(({ key, value, revision }) => `${key}=${Buffer.from(value!).toString()}@${revision}`),
    jobs: (await jobs.list(t.scope, {}, { limit: 100 })).items.length,
    pending: (await queues.stats(t.scope, 'q')).pending,
  }
}

/** Work that was done before: three messages to read, a key, a group of two members. */
async function begin(t: Harness): Promise<void> {
  const batch = ['a', 'b', 'c'].map((payload) => message(payload))
  await t.store.streams.write({ scope: t.scope, stream: 'in', batches: [{ messages: batch }], requestId: '', now: t.clock.now() })
  await write(t, { kv: [{ store: 'store', write: set('sum', '0') }] })
}

/** Changes of several parts in one transaction. */
export const transactionCases: readonly Case[] = [
  {
    name: 'a transaction writes messages, jobs, keys and commits at once, and answers in order',
    async run(t) {
      await begin(t)
      const result = await write(t, {
        streams: [
          { stream: 'out', messages: [message('x'), message('y')] },
          { stream: 'in', messages: [message('d')] },
          { stream: 'out', messages: [message('z')] },
        ],
        jobs: [t.job(), t.job({ idempotencyKey: 'k' }), t.job({ idempotencyKey: 'k' }), t.job({ runAt: t.clock.now() + 1000 })],
        kv: [
          { store: 'store', write: set('sum', '6', { ifRevision: 1 }) },
          { store: 'other', write: { type: 'increment', key: 'n', by: 2 } },
          { store: 'store', write: { type: 'delete', key: 'none' } },
          { store: 'store', write: set('sum', '7', { ifRevision: 2 }) },
        ],
        commits: [{ stream: 'in', group: 'g', partition: 0, offset: 2 }],
      })
      expect(result.streams.map(({ partitions, offsets }) => [partitions, offsets])).toEqual([
        [
          [0, 0],
          [0, 1],
        ],
        [[0], [3]],
        [[0], [2]],
      ])
      expect(result.jobs.map(({ created }) => created)).toEqual([true, true, false, true])
      expect(result.jobs[2]!.seq).toBe(result.jobs[1]!.seq)
      expect(result.kv).toEqual([{ revision: 2 }, { revision: 1, number: 2 }, { revision: 0, deleted: false }, { revision: 3 }])
      expect(result.commits).toEqual([{ committed: 2 }])
      await t.reopen()
      expect(await everything(t)).toEqual({
        in: ['a', 'b', 'c', 'd'],
        out: ['x', 'y', 'z'],
        committed: [2],
        keys: ['sum=7@3'],
        jobs: 3,
        pending: 2,
      })
      expect((await t.store.jobs.get(t.scope, result.jobs[3]!.seq))!.state).toBe(JobState.scheduled)
      expect(await t.store.jobs.nextDueAt()).toBe(t.clock.now() + 1000)
      expect(await t.claim()).toHaveLength(2)
    },
  },
  {
    name: 'a transaction of which a part is refused changes nothing, and says which part',
    async run(t) {
      await begin(t)
      await t.store.streams.join(t.scope, 'in', 'g', 'first', t.clock.now() + 1000)
      await t.enqueue({ idempotencyKey: 'used' })
      const before = await everything(t)
      const good = {
        streams: [{ stream: 'out', messages: [message('x')] }],
        jobs: [t.job()],
        kv: [{ store: 'store', write: set('other', '1') }],
        commits: [{ stream: 'in', group: 'g', partition: 0, offset: 1, member: 'first' }],
      } satisfies Partial<TransactionRequest>
      const refusals: [Partial<TransactionRequest>, { reason: string; path: string }][] = [
        [{ kv: [...good.kv, { store: 'store', write: set('sum', '1', { ifRevision: 7 }) }] }, { reason: 'CONFLICT', path: 'kv[1].key' }],
        [
          { kv: [...good.kv, { store: 'store', write: set('sum', '1', { ifAbsent: true }) }] },
          { reason: 'ALREADY_EXISTS', path: 'kv[1].key' },
        ],
        [
          { streams: [...good.streams, { stream: 'in', messages: [message('x'), message('y', { partition: 1 })] }] },
          { reason: 'VALIDATION', path: 'streams[1].messages[1].partition' },
        ],
        [
          { commits: [...good.commits, { stream: 'in', group: 'g', partition: 0, offset: 1, member: 'second' }] },
          { reason: 'CONFLICT', path: 'commits[1].member' },
        ],
        [{ commits: [{ stream: 'in', group: 'g', partition: 0, offset: 3 }] }, { reason: 'VALIDATION', path: 'commits[0].offset' }],
        [{ commits: [{ stream: 'none', group: 'g', partition: 0, offset: 0 }] }, { reason: 'NOT_FOUND', path: 'commits[0].stream' }],
        [
          { jobs: [...good.jobs, t.job({ idempotencyKey: 'used', payload: text('"another"') })] },
          { reason: 'ALREADY_EXISTS', path: 'jobs[1].queue' },
        ],
      ]
      for (const [bad, { reason, path }] of refusals) {
        const refused = await write(t, { ...good, ...bad }).catch((error: unknown) => error)
        expect(refused, path).toMatchObject({ reason, fields: [{ path }] })
        expect((refused as Error).message).toContain(path)
        expect(await everything(t), path).toEqual(before)
      }
      await t.reopen()
      expect(await everything(t)).toEqual(before)
      await t.store.streams.join(t.scope, 'in', 'g', 'first', t.clock.now() + 1000)
      await write(t, good)
      expect(await everything(t)).toMatchObject({
        out: ['x'],
        committed: [1],
        keys: [expect.stringMatching(/^other=1@/), 'sum=0@1'],
        pending: 2,
      })
    },
  },
  {
    name: 'a repeated transaction answers as the first did, also at the same time, and changes nothing again',
    async run(t) {
      await begin(t)
      const request = {
        streams: [{ stream: 'out', messages: [message('x')] }],
        jobs: [t.job()],
        kv: [{ store: 'store', write: set('once', '1', { ifAbsent: true }) }],
        commits: [{ stream: 'in', group: 'g', partition: 0, offset: 0 }],
        requestId: 'r',
      } satisfies Partial<TransactionRequest>
      const first = await write(t, request)
      const after = await everything(t)
      expect(await write(t, request)).toEqual(first)
      await t.reopen()
      expect(await write(t, request)).toEqual(first)
      expect(await everything(t)).toEqual(after)
      const elsewhere = await write(t, { ...request, scope: t.otherTenant, commits: [] })
      expect(elsewhere.streams[0]).toEqual({ partitions: [0], offsets: [0] })

      const racing = { ...request, kv: [{ store: 'store', write: set('twice', '1', { ifAbsent: true }) }], requestId: 'racing' }
      const answers = await Promise.all([write(t, racing), write(t, racing), write(t, racing)])
      expect(answers[1]).toEqual(answers[0])
      expect(answers[2]).toEqual(answers[0])
      expect((await everything(t)).out).toEqual(['x', 'x'])

      // What was refused was not carried out: the same request may come again when it can be.
      const early = { commits: [{ stream: 'in', group: 'g', partition: 0, offset: 3 }], requestId: 'early' }
      await expect(write(t, early)).rejects.toMatchObject({ reason: 'VALIDATION' })
      await write(t, { streams: [{ stream: 'in', messages: [message('d')] }] })
      expect((await write(t, early)).commits).toEqual([{ committed: 3 }])
    },
  },
  {
    name: 'of transactions that ask for the same revision at the same time, one is carried out',
    async run(t) {
      await begin(t)
      const attempts = Array.from({ length: 10 }, (_, i) =>
        write(t, {
          kv: [{ store: 'store', write: set('sum', String(i), { ifRevision: 1 }) }],
          streams: [{ stream: 'out', messages: [message(String(i))] }],
          jobs: [t.job()],
        }),
      )
      const won = (await Promise.allSettled(attempts)).filter(({ status }) => status === 'fulfilled')
      expect(won).toHaveLength(1)
      const { out, pending, keys } = await everything(t)
      expect(out).toHaveLength(1)
      expect(keys).toEqual([`sum=${out![0]}@2`])
      expect(pending).toBe(1)
    },
  },
  {
    name: 'a transaction wakes the readers of its streams and keys, and makes its lanes ready',
    async run(t) {
      const told: string[] = []
      t.store.streams.listen({ written: ({ stream }) => told.push(`stream ${stream}`), regrouped() {}, missed() {} })
      t.store.kv.listen({ changed: ({ store }) => told.push(`kv ${store}`), missed() {} })
      t.ready.length = 0
      await write(t, {
        streams: [{ stream: 'out', messages: [message('x')] }],
        kv: [{ store: 'store', write: set('k', '1') }],
        jobs: [t.job({ queue: 'woken' })],
      })
      expect(told.sort()).toEqual(['kv store', 'stream out'])
      expect(t.ready.map(({ queue }) => queue)).toContain('woken')
    },
  },
]
