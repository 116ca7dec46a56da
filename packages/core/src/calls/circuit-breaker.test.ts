import { expect, test } from 'vitest'
import { CircuitOpenError, NotFoundError, QuotaExceededError, TimeoutError, UnavailableError } from '../errors/errors.ts'
import type { MillraceOptions } from '../options.ts'
import { setUp } from '../testing/setup.ts'

const options: MillraceOptions = { retry: false, circuitBreaker: { failureThreshold: 3, successThreshold: 2, resetTimeout: '30s' } }
const down = () => new UnavailableError({ reason: 'UNAVAILABLE', message: 'down' })

/** A client whose next calls end as the test says: with an error, or well. */
function setUpOutcomes(clientOptions = options) {
  const { clock, transport, mr } = setUp(clientOptions)
  let outcome: Error | undefined
  let reached = 0
  transport.on('ClusterService/ListWorkers', () => {
    reached++
    if (outcome) throw outcome
    return { workers: [] }
  })
  const call = async (next?: Error): Promise<string> => {
    outcome = next
    const before = reached
    const name = await mr.cluster.workers().then(
      () => 'ok',
      (error: Error) => error.name,
    )
    return reached === before ? `held back: ${name}` : name
  }
  return { clock, call }
}

test('failures in a row open it; after the reset time, successes close it', async () => {
  const { clock, call } = setUpOutcomes()
  for (let i = 0; i < 3; i++) expect(await call(down())).toBe('UnavailableError')
  expect(await call()).toBe('held back: CircuitOpenError')
  await clock.advance(29_999)
  expect(await call()).toBe('held back: CircuitOpenError')
  await clock.advance(1)
  expect(await call()).toBe('ok')
  expect(await call()).toBe('ok')
  // Closed again: it takes three failures in a row once more.
  expect(await call(down())).toBe('UnavailableError')
  expect(await call(down())).toBe('UnavailableError')
  expect(await call()).toBe('ok')
})

test('a failure while half open opens it again', async () => {
  const { clock, call } = setUpOutcomes()
  for (let i = 0; i < 3; i++) await call(down())
  await clock.advance(30_000)
  expect(await call()).toBe('ok')
  expect(await call(down())).toBe('UnavailableError')
  expect(await call()).toBe('held back: CircuitOpenError')
  await clock.advance(30_000)
  expect(await call()).toBe('ok')
})

test('half open, one call at a time passes', async () => {
  const { clock, call } = setUpOutcomes()
  for (let i = 0; i < 3; i++) await call(down())
  await clock.advance(30_000)
  const [first, second] = await Promise.all([call(), call()])
  expect([first, second]).toContain('ok')
  expect([first, second].filter((outcome) => outcome.endsWith('CircuitOpenError'))).toHaveLength(1)
})

test('a success in between begins the count anew', async () => {
  const { call } = setUpOutcomes()
  for (let i = 0; i < 10; i++) {
    expect(await call(down())).toBe('UnavailableError')
    expect(await call(down())).toBe('UnavailableError')
    expect(await call()).toBe('ok')
  }
})

test('what the caller did wrong does not count, and says that the server works', async () => {
  const { call } = setUpOutcomes()
  const notFound = new NotFoundError({ reason: 'NOT_FOUND', message: 'no' })
  for (let i = 0; i < 5; i++) expect(await call(notFound)).toBe('NotFoundError')
  expect(await call(down())).toBe('UnavailableError')
  expect(await call(down())).toBe('UnavailableError')
  expect(await call(notFound)).toBe('NotFoundError')
  expect(await call(down())).toBe('UnavailableError')
  expect(await call()).toBe('ok')
})

test('ignored classes do not count', async () => {
  const quota = new QuotaExceededError({ reason: 'QUOTA_EXCEEDED', message: 'full' })
  const byDefault = setUpOutcomes()
  for (let i = 0; i < 5; i++) expect(await byDefault.call(quota)).toBe('QuotaExceededError')

  const breaker = options.circuitBreaker as object
  const none = setUpOutcomes({ ...options, circuitBreaker: { ...breaker, ignore: [] } })
  for (let i = 0; i < 3; i++) await none.call(quota)
  expect(await none.call()).toBe('held back: CircuitOpenError')

  const timeouts = setUpOutcomes({ ...options, circuitBreaker: { ...breaker, ignore: [TimeoutError] } })
  for (let i = 0; i < 5; i++)
    expect(await timeouts.call(new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: 'slow' }))).toBe('TimeoutError')
})

test('it says when the next call passes', async () => {
  const { clock, transport, mr } = setUp(options)
  transport.on('ClusterService/ListWorkers', () => {
    throw down()
  })
  for (let i = 0; i < 3; i++) await mr.cluster.workers().catch(() => undefined)
  await clock.advance(10_000)
  const error = await mr.cluster.workers().catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(CircuitOpenError)
  expect((error as CircuitOpenError).details.retryAfterMs).toBe(20_000)
})
