import type { RowResult } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AbortError, ConflictError, UnavailableError } from '../errors/errors.ts'
import { turn } from '../testing/manual-clock.ts'
import { setUp } from '../testing/setup.ts'

const rowsOf = (value: unknown) => ({ columns: [], rows: new TextEncoder().encode(JSON.stringify(value)), contentType: '' })
const good = (index: number): RowResult => ({ index, result: rowsOf([{ id: index }]), affected: 0, error: undefined })
const bad = (index: number, reason: string): RowResult => ({
  index,
  result: undefined,
  affected: 0,
  error: { reason, message: 'refused', fields: [], retryAfterMs: 0, quota: undefined, resource: '', id: '' },
})

/** A server whose messages the test writes, and whose table has one row. */
function setUpTable(options = {}) {
  const { clock, transport, mr } = setUp({ circuitBreaker: false, ...options })
  const said: (readonly RowResult[] | Error)[] = []
  let wake: () => void = () => undefined
  async function* stream() {
    for (;;) {
      while (said.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      const next = said.shift()!
      if (next instanceof Error) throw next
      if (next.length === 0) return
      yield { results: [...next], requestId: 'req-1' }
    }
  }
  transport.onStream('TableService/ReadRows', stream)
  transport.onStream('TableService/WriteRows', stream)
  transport.on('TableService/SelectRows', () => ({ result: rowsOf([{ id: 'alone' }]) }))
  const say = async (...messages: (readonly RowResult[] | Error)[]) => {
    said.push(...messages)
    wake()
    await turn()
  }
  return { clock, transport, mr, table: mr.table<{ id: number }>('t'), say }
}

test('calls made at once share a request; one alone is an ordinary call', async () => {
  const { transport, table, say } = setUpTable()
  expect(await table.select()).toEqual([{ id: 'alone' }])
  const both = Promise.all([table.select().all(), table.select().limit(2).all()])
  await say([good(1), good(0)], [])
  expect(await both).toEqual([[{ id: 0 }], [{ id: 1 }]])
  expect(transport.calls.map(({ method }) => method)).toEqual(['TableService/SelectRows', 'TableService/ReadRows'])
})

test('an answer that takes longer keeps neither the others nor later calls waiting', async () => {
  const { clock, transport, table, say } = setUpTable()
  const calls = [table.select().all(), table.select().all()]
  await say([good(1)])
  expect(await calls[1]).toEqual([{ id: 1 }])
  expect(await table.select().all()).toEqual([{ id: 'alone' }])
  // Two that do not answer at all: after a moment the next leaves all the same.
  transport.on('TableService/SelectRows', () => new Promise(() => undefined))
  const silent = [table.select().all()]
  await turn()
  silent.push(table.select().all())
  await turn()
  silent.push(table.select().all())
  await turn()
  expect(transport.requests('TableService/SelectRows')).toHaveLength(3)
  await clock.advance(20)
  expect(transport.requests('TableService/SelectRows')).toHaveLength(4)
  await say([good(0)], [])
  expect(await calls[0]).toEqual([{ id: 0 }])
  const ends = Promise.all(silent.map((each) => each.catch((error) => error.code)))
  await clock.advance(60_000)
  expect(await ends).toEqual(Array(3).fill('DEADLINE_EXCEEDED'))
})

test('a read that broke off is made again, a write is not', async () => {
  const { table, say } = setUpTable()
  const reads = [table.select().all(), table.select().all(), table.select().all()]
  await say([good(0), bad(1, 'UNAVAILABLE')], new UnavailableError({ reason: 'UNAVAILABLE', message: 'broken' }))
  expect(await Promise.all(reads)).toEqual([[{ id: 0 }], [{ id: 'alone' }], [{ id: 'alone' }]])

  const writes = [table.insert({}), table.insert({}), table.insert({})].map((each) => each.catch((error) => error))
  await say([good(0), bad(1, 'ALREADY_EXISTS')], [])
  const [first, second, third] = await Promise.all(writes)
  expect(first).toEqual([{ id: 0 }])
  expect(second).toBeInstanceOf(ConflictError)
  expect(third).toBeInstanceOf(UnavailableError)
})

test('an aborted call ends alone, whether its answer is on its way or not', async () => {
  const { table, say } = setUpTable()
  const abort = new AbortController()
  const calls = [table.select().all({ signal: abort.signal }), table.select().all(), table.select().all()]
  await say([good(1)])
  abort.abort()
  await expect(calls[0]).rejects.toBeInstanceOf(AbortError)
  await say([good(0), good(2)], [])
  expect(await calls[2]).toEqual([{ id: 2 }])
})
