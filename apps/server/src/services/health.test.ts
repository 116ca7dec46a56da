import { expect, test } from 'vitest'
import { MillraceError } from '../errors.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { createHealth } from './health.ts'

test('says what is wrong with the store, looks at most once a second, and says when it is well again', async () => {
  const clock = new ManualClock()
  let looks = 0
  let fault: Error | undefined = new MillraceError('UNAVAILABLE', 'The disk is full.')
  const check = async () => {
    looks++
    if (fault) throw fault
  }
  const health = createHealth({ name: 'The store', check, clock })
  expect(await health.problem()).toBe('The disk is full.')
  fault = undefined
  expect(await health.problem()).toBe('The disk is full.')
  expect(looks).toBe(1)
  await clock.advance(1000)
  expect(await health.problem()).toBe('')
  health.stop()
  expect(await health.problem()).toBe('The server is stopping.')
})

test('does not wait for a store that does not answer', async () => {
  const clock = new ManualClock()
  const health = createHealth({ name: 'The store', check: () => new Promise(() => undefined), clock })
  const problem = health.problem()
  await clock.advance(3000)
  expect(await problem).toBe('The store has not answered for 3 s.')
})
