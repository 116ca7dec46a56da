import { ConflictError, PermissionDeniedError, QuotaExceededError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()
const failure = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => error as { details: { fields?: readonly { path: string }[] } },
  )

describe('transactions', () => {
  test('an order is billed: an invoice, an email, a balance and the commit, at once', async () => {
    const mr = fixture.client()
    const [orders, invoices, emails, balances] = ['orders', 'invoices', 'emails', 'balances'].map(freshName) as [
      string,
      string,
      string,
      string,
    ]
    await mr.stream(orders).write([10, 20, 30].map((amount) => ({ payload: { customer: 'ada', amount } })))
    const changes = mr.kv<number>(balances).watch({ after: 0 })
    let billed = 0
    for await (const message of mr.stream<{ customer: string; amount: number }>(orders).subscribe({ group: 'billing' })) {
      const { customer, amount } = message.payload
      const entry = await mr.kv<number>(balances).entry(customer)
      const result = await mr.writeTransaction({
        streams: [{ stream: invoices, messages: [{ payload: amount, key: customer }] }],
        jobs: [{ queue: emails, payload: { to: customer } }],
        kv: [{ store: balances, key: customer, value: (entry?.value ?? 0) + amount, ifRevision: entry?.revision ?? 0 }],
        commits: [message],
      })
      expect(result).toMatchObject({
        streams: [[billed]],
        jobs: [{ created: true }],
        kv: [{ revision: billed + 1 }],
        commits: [message.offset],
      })
      if (++billed === 3) break
    }
    expect((await mr.stream(invoices).read()).map(({ payload }) => payload)).toEqual([10, 20, 30])
    expect(await mr.kv(balances).get('ada')).toBe(60)
    expect(await mr.stream(orders).group('billing').state(0)).toEqual({ committedOffset: 2, latestOffset: 2, lag: 0 })
    expect(await mr.queue(emails).receive({ max: 10 })).toHaveLength(3)
    for await (const { value } of changes) if (value === 60) break
  })

  test('who waits for a job, a message or a key is told', async () => {
    const mr = fixture.client()
    const [stream, queue, store] = ['stream', 'queue', 'store'].map(freshName) as [string, string, string]
    await mr.stream(stream).create()
    const told: string[] = []
    const waiting = [
      (async () => {
        for await (const { payload } of mr.stream(stream).subscribe({ from: 'earliest' })) return told.push(`message ${payload}`)
      })(),
      (async () => {
        const [job] = await mr.queue(queue).receive({ wait: '30s' })
        told.push(`job ${job!.payload}`)
      })(),
      (async () => {
        for await (const { key } of mr.kv(store).watch({ after: 0 })) return told.push(`key ${key}`)
      })(),
    ]
    await mr.writeTransaction({
      streams: [{ stream, messages: [{ payload: 1 }] }],
      jobs: [{ queue, payload: 2 }],
      kv: [{ store, key: 'three', value: 3 }],
    })
    await Promise.all(waiting)
    expect(told.sort()).toEqual(['job 2', 'key three', 'message 1'])
  })

  test('a delayed job and a key with a time to live come to their time', async () => {
    const mr = fixture.client()
    const [queue, store] = ['queue', 'store'].map(freshName) as [string, string]
    await mr.writeTransaction({
      jobs: [{ queue, payload: 'later', delay: 50 }],
      kv: [{ store, key: 'short', value: 1, ttl: 50 }],
    })
    const expired = (async () => {
      for await (const { type } of mr.kv(store).watch({ after: 0 })) if (type === 'expired') return true
      return false
    })()
    expect(await mr.queue(queue).receive({ wait: '30s' })).toHaveLength(1)
    expect(await expired).toBe(true)
  })

  test('a refused part undoes all, and the error names it', async () => {
    const mr = fixture.client()
    const [stream, queue, store] = ['stream', 'queue', 'store'].map(freshName) as [string, string, string]
    const good = { streams: [{ stream, messages: [{ payload: 1 }] }], jobs: [{ queue, payload: 2 }] }
    const stale = await failure(
      mr.writeTransaction({
        ...good,
        kv: [
          { store, key: 'a', value: 1 },
          { store, key: 'b', value: 1, ifRevision: 3 },
        ],
      }),
    )
    expect(stale).toBeInstanceOf(ConflictError)
    expect(stale).toMatchObject({
      message: expect.stringMatching(/^kv\[1\]\.key: The key "b" is not there; the write asked for revision 3\./) as string,
      details: { fields: [{ path: 'kv[1].key' }] },
    })
    await mr.queue(queue).enqueue(0)
    await mr.queue(queue).update({ maxDepth: 1 })
    expect(await failure(mr.writeTransaction({ ...good, kv: [{ store, key: 'a', value: 1 }] }))).toBeInstanceOf(QuotaExceededError)
    const wrong = await failure(mr.writeTransaction({ streams: [{ stream, messages: [{ payload: 1 }, { payload: 1, partition: 9 }] }] }))
    expect(wrong).toBeInstanceOf(ValidationError)
    expect(wrong).toMatchObject({ details: { fields: [{ path: 'streams[0].messages[1].partition' }] } })
    expect(await failure(mr.writeTransaction({}))).toBeInstanceOf(ValidationError)
    expect(await mr.kv(store).exists('a')).toBe(false)
    expect((await mr.queue(queue).stats()).pending).toBe(1)
    const streams: string[] = []
    for await (const { name } of mr.streams.list()) streams.push(name)
    expect(streams).not.toContain(stream)
  })

  test('a part is what its fields say, and an offset that is none is refused', async () => {
    const mr = fixture.client()
    const [stream, store] = ['stream', 'store'].map(freshName) as [string, string]
    await mr.writeTransaction({
      kv: [
        { store, key: 'a', value: 1, delete: undefined },
        { store, key: 'b', value: 2, increment: undefined },
      ],
    })
    expect([...(await mr.kv(store).getMany(['a', 'b'])).values()]).toEqual([1, 2])
    await mr.stream(stream).write([{ payload: 1 }, { payload: 2 }])
    const wrong = [
      ['commits[0].offset', { commits: [{ stream, group: 'g', offset: 0.5 }] }],
      ['commits[0].offset', { commits: [{ stream, group: 'g' }] }],
    ] as const
    for (const [path, parts] of wrong) {
      const error = await failure(mr.writeTransaction(parts as never))
      expect(error, path).toBeInstanceOf(ValidationError)
      expect((error as ValidationError).fields[0]!.path).toBe(path)
    }
    expect(await failure(mr.stream(stream).commit('g', 0, Number.NaN))).toBeInstanceOf(ValidationError)
    expect(await mr.stream(stream).committed('g')).toBe(-1)
  })

  test('one that is made again gets the first answer, whatever it asks for then', async () => {
    const mr = fixture.client()
    const [stream, store] = ['stream', 'store'].map(freshName) as [string, string]
    const again = { idempotencyKey: freshName('again') }
    const { kv } = await mr.writeTransaction({ kv: [{ store, key: 'a', increment: 1 }] }, again)
    expect(kv).toEqual([{ revision: 1, number: 1 }])
    const other = await mr.writeTransaction({ streams: [{ stream, messages: [{ payload: 1 }] }] }, again)
    expect(other).toEqual({ streams: [], jobs: [], kv: [{ revision: 1 }], commits: [] })
  })

  test('a consumer that lost its partition writes nothing', async () => {
    const mr = fixture.client()
    const [from, to] = ['from', 'to'].map(freshName) as [string, string]
    await mr.stream(from).write([{ payload: 1 }])
    const first = mr.stream(from).subscribe({ group: 'g' })
    const { value: message } = await first.next()
    await first.return?.()
    const second = mr.stream(from).subscribe({ group: 'g' })
    await until('the other member has the partition', async () => (await second.next()).value?.offset === 0)
    const late = await failure(mr.writeTransaction({ streams: [{ stream: to, messages: [{ payload: 1 }] }], commits: [message!] }))
    expect(late).toBeInstanceOf(ConflictError)
    expect(late).toMatchObject({ details: { fields: [{ path: 'commits[0].member' }] } })
    await second.return?.()
    expect(await mr.stream(from).committed('g')).toBe(-1)
  })

  test('a key needs the scope of every part', async () => {
    const mr = fixture.client()
    const { key } = await mr.keys.create({ name: 'half', scopes: ['streams:write', 'kv:write'] })
    const half = fixture.client({ apiKey: key })
    const streams = [{ stream: freshName('stream'), messages: [{ payload: 1 }] }]
    const kv = [{ store: freshName('store'), key: 'k', value: 1 }]
    await half.writeTransaction({ streams, kv })
    const refused = await failure(half.writeTransaction({ streams, kv, jobs: [{ queue: 'q', payload: 1 }] }))
    expect(refused).toBeInstanceOf(PermissionDeniedError)
    expect(refused).toMatchObject({ requiredScope: 'queues:write' })
  })
})
