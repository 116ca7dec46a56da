import type { RowResult } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { MillraceError } from '../errors.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { answerTogether, type RowAnswer } from './answer-together.ts'

const never = { requestId: 'req-1', signal: new AbortController().signal }

/** Calls that end when they are told to. */
function heldCalls(count: number) {
  const held = Array.from({ length: count }, () => Promise.withResolvers<RowAnswer>())
  let begun = 0
  const calls = held.map(({ promise }) => () => {
    begun++
    return promise
  })
  return { held, calls, begun: () => begun }
}

type Answers = IteratorResult<{ readonly results: readonly RowResult[] }, void>

const indexes = ({ value }: Answers) => value?.results.map(({ index }) => index)

test('answers travel together, and none waits long for a slow one', async () => {
  const clock = new ManualClock()
  const { held, calls } = heldCalls(4)
  const stream = answerTogether(calls, clock, never)
  const first = stream.next()
  held[2]!.resolve({ affected: 2 })
  await clock.advance(5)
  held[0]!.reject(new MillraceError('NOT_FOUND', 'not there', { resource: 'table', id: 'x' }))
  await clock.advance(14)
  await clock.advance(1)
  const message = await first
  expect(message.value!.results).toMatchObject([
    { index: 2, affected: 2, error: undefined },
    { index: 0, affected: 0, error: { reason: 'NOT_FOUND', resource: 'table', id: 'x' } },
  ])
  const second = stream.next()
  held[3]!.resolve({})
  held[1]!.resolve({})
  // The last one: nothing is left to wait for.
  expect(indexes(await second)).toEqual([3, 1])
  expect((await stream.next()).done).toBe(true)
})

test('a fault ends the stream when the others are answered', async () => {
  const { held, calls } = heldCalls(2)
  const stream = answerTogether(calls, new ManualClock(), never)
  const first = stream.next()
  held[0]!.reject(new Error('a fault'))
  held[1]!.resolve({})
  expect(indexes(await first)).toEqual([1])
  await expect(stream.next()).rejects.toThrow('a fault')
})

test('few are carried out at a time, and none begins when the caller has gone', async () => {
  const clock = new ManualClock()
  const gone = new AbortController()
  const { held, calls, begun } = heldCalls(100)
  const stream = answerTogether(calls, clock, { requestId: 'req-2', signal: gone.signal })
  const first = stream.next()
  expect(begun()).toBe(32)
  held[0]!.resolve({})
  await clock.advance(20)
  expect(indexes(await first)).toEqual([0])
  expect(begun()).toBe(33)
  const second = stream.next()
  gone.abort(new Error('gone'))
  held[1]!.resolve({})
  await expect(second).rejects.toThrow('gone')
  expect(begun()).toBe(33)
})
