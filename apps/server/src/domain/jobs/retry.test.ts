import { describe, expect, it } from 'vitest'
import { backoffMs, defaultRetryPolicy, retryPlanner } from './retry.ts'

const policy = { ...defaultRetryPolicy, initialBackoffMs: 100, maxBackoffMs: 1000, multiplier: 3, jitter: 0 }
const waits = (strategy: 'fixed' | 'linear' | 'exponential') => [1, 2, 3, 4].map((attempt) => backoffMs({ ...policy, strategy }, attempt))

describe('backoff', () => {
  it('grows as its strategy says, up to the maximum', () => {
    expect(waits('fixed')).toEqual([100, 100, 100, 100])
    expect(waits('linear')).toEqual([100, 200, 300, 400])
    expect(waits('exponential')).toEqual([100, 300, 900, 1000])
  })

  it('is spread by the jitter on both sides', () => {
    const plan = (random: number) => retryPlanner(() => random)({ attempt: 1, maxAttempts: 2, policy: { ...policy, jitter: 0.2 }, now: 0 })
    expect([plan(0), plan(0.5), plan(0.999999)]).toEqual([80, 100, 120])
  })

  it('ends with the last attempt', () => {
    expect(retryPlanner()({ attempt: 3, maxAttempts: 3, policy, now: 0 })).toBeUndefined()
  })
})
