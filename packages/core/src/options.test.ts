import { expect, test } from 'vitest'
import { ValidationError } from './errors/errors.ts'
import { compileOptions, type MillraceOptions } from './options.ts'

test('defaults', () => {
  expect(compileOptions({}, {})).toMatchObject({
    endpoint: 'localhost:50051',
    namespace: 'default',
    timeoutMs: 30_000,
    keepalive: { intervalMs: 15_000, timeoutMs: 10_000 },
    retry: { maxRetries: 3, initialMs: 200, maxMs: 10_000, multiplier: 2, jitter: 0.2 },
    breaker: { failureThreshold: 5, successThreshold: 3, resetMs: 30_000 },
  })
})

test('the environment fills in what is not given', () => {
  const env = { MILLRACE_ENDPOINT: 'host:1', MILLRACE_API_KEY: 'mr_env', MILLRACE_NAMESPACE: 'blue' }
  const fromEnv = compileOptions({}, env)
  expect(fromEnv).toMatchObject({ endpoint: 'host:1', namespace: 'blue' })
  expect(fromEnv.credentials.get()).toBe('mr_env')
  expect(compileOptions({ endpoint: ['a:1', 'b:2'] }, env).endpoint).toBe('a:1,b:2')
  const given = compileOptions({ endpoint: 'other:2', apiKey: 'mr_given', namespace: 'red' }, env)
  expect(given).toMatchObject({ endpoint: 'other:2', namespace: 'red' })
  expect(given.credentials.get()).toBe('mr_given')
})

test('parts can be turned off', () => {
  const { retry, breaker, keepalive } = compileOptions({ retry: false, circuitBreaker: false, keepalive: false }, {})
  expect([retry, breaker, keepalive]).toEqual([undefined, undefined, undefined])
})

test.each<[string, MillraceOptions]>([
  ['timeout', { timeout: '30 seconds' as '30s' }],
  ['token', { token: 't', apiKey: 'k' }],
  ['retry.maxRetries', { retry: { maxRetries: -1 } }],
  ['retry.jitter', { retry: { jitter: 2 } }],
  ['retry.multiplier', { retry: { multiplier: 0 } }],
  ['retry.retryOn', { retry: { retryOn: ['SOMETIMES' as 'UNAVAILABLE'] } }],
  ['circuitBreaker.failureThreshold', { circuitBreaker: { failureThreshold: 0 } }],
  ['keepalive.interval', { keepalive: { interval: -1 } }],
])('%s is checked', (path, options) => {
  expect(() => compileOptions(options, {})).toThrow(ValidationError)
  expect(() => compileOptions(options, {})).toThrow(new RegExp(`^${path}: `))
})

test('a token that is fetched is fetched once, and again after it was refused', async () => {
  let fetches = 0
  const { credentials } = compileOptions({ token: async () => `token-${++fetches}` }, {})
  expect(await Promise.all([credentials.get(), credentials.get()])).toEqual(['token-1', 'token-1'])
  expect(credentials.get()).toBe('token-1')
  credentials.renew(credentials.version)
  expect(await credentials.get()).toBe('token-2')
})

test('a token that cannot be fetched is asked for again', async () => {
  let fetches = 0
  const { credentials } = compileOptions(
    {
      token: async () => {
        if (++fetches === 1) throw new Error('offline')
        return 'token'
      },
    },
    {},
  )
  await expect(credentials.get()).rejects.toThrow('offline')
  expect(await credentials.get()).toBe('token')
})
