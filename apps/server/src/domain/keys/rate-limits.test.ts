import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../errors.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { RateLimits, type RateStatus } from './rate-limits.ts'

const key = (rateLimit: number, seq = 1, tenant = 1) => ({ tenant, seq, rateLimit, hint: 'mr_abc' })

function setUp() {
  const clock = new ManualClock()
  const limits = new RateLimits(clock)
  /** What is told of a call, and in how many milliseconds to come again when it is refused. */
  const take = (limited: ReturnType<typeof key>): [status: RateStatus | undefined, retryAfterMs?: number] => {
    let status: RateStatus | undefined
    try {
      limits.take(limited, (told) => {
        status = told
      })
      return [status]
    } catch (error) {
      expect(error).toBeInstanceOf(MillraceError)
      expect(error).toMatchObject({ reason: 'RATE_LIMITED' })
      return [status, (error as MillraceError).retryAfterMs]
    }
  }
  /** How many calls are taken now. */
  const burst = (limited: ReturnType<typeof key>): number => {
    let taken = 0
    while (take(limited).length === 1) taken++
    return taken
  }
  return { clock, limits, take, burst }
}

describe('the limit of a key', () => {
  it('takes one second of calls at once, and then as many as time brings, exactly', async () => {
    const { clock, take, burst } = setUp()
    expect(take(key(3))).toEqual([{ limit: 3, remaining: 2, resetMs: 334 }])
    expect(take(key(3))).toEqual([{ limit: 3, remaining: 1, resetMs: 667 }])
    expect(take(key(3))).toEqual([{ limit: 3, remaining: 0, resetMs: 1000 }])
    expect(take(key(3))).toEqual([{ limit: 3, remaining: 0, resetMs: 1000 }, 334])
    await clock.advance(333)
    expect(take(key(3))).toEqual([{ limit: 3, remaining: 0, resetMs: 667 }, 1])
    await clock.advance(1)
    expect(burst(key(3))).toBe(1)
    // 1002 of the thousandths of 334 ms were there; the two that are left count on.
    await clock.advance(666)
    expect(burst(key(3))).toBe(2)
    await clock.advance(60_000)
    expect(burst(key(3))).toBe(3)
  })

  it.each([1, 7, 50, 999, 1_000_000])('takes no call more than %i per second over a long time, and none less', async (rate) => {
    const { clock, burst } = setUp()
    let taken = burst(key(rate))
    expect(taken).toBe(rate)
    for (let second = 0; second < 3; second++) {
      for (const ms of [1, 299, 450, 250]) {
        await clock.advance(ms)
        taken += burst(key(rate))
      }
      expect(taken).toBe(rate * (second + 2))
    }
  })

  it('is that of each key alone', () => {
    const { limits, burst } = setUp()
    expect(burst(key(2))).toBe(2)
    expect(burst(key(2, 2))).toBe(2)
    expect(burst(key(2, 1, 2))).toBe(2)
    expect(limits.status(key(0, 3))).toBeUndefined()
    expect(limits.status(key(9, 4))).toEqual({ limit: 9, remaining: 9, resetMs: 0 })
  })

  it('outlives a clock that is set back', async () => {
    let now = 1_000_000
    const limits = new RateLimits({ now: () => now, timer: () => () => {} })
    limits.take(key(1))
    now -= 500_000
    expect(() => limits.take(key(1))).toThrow('one call per second')
    now += 1000
    limits.take(key(1))
  })

  it('holds for a key in use while more keys come than are watched at a time', async () => {
    const { clock, burst } = setUp()
    for (let seq = 0; seq < 10_000; seq++) burst(key(1, seq))
    await clock.advance(1000)
    expect(burst(key(1, 5))).toBe(1)
    expect(burst(key(1, 20_000))).toBe(1)
    expect(burst(key(1, 5))).toBe(0)
  })
})
