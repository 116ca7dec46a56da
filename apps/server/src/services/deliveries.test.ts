import { beforeEach, describe, expect, it } from 'vitest'
import type { JobEngine, SubscribeOptions } from '../domain/jobs/types.ts'
import type { ClaimedJob, SettleItem } from '../store/ports.ts'
import { Deliveries, type Revoked } from './deliveries.ts'

/** The two calls of the engine that deliveries make, noted. */
let demand: SubscribeOptions
let credit: number[]
let closed: boolean
let settled: SettleItem[]
let told: Revoked[]
let wakes: number
let deliveries: Deliveries

beforeEach(() => {
  credit = []
  closed = false
  settled = []
  told = []
  wakes = 0
  const engine: Pick<JobEngine, 'subscribe' | 'settle'> = {
    subscribe(options) {
      demand = options
      return {
        inFlight: 0,
        setMaxInFlight: (max) => void credit.push(max),
        alive() {},
        close() {
          closed = true
        },
      }
    },
    async settle(_scope, items) {
      settled.push(...items)
      return items.map(() => ({}))
    },
  }
  deliveries = new Deliveries({
    engine: engine as JobEngine,
    scope: { tenant: 1, namespace: 'default' },
    queue: 'q',
    functions: [''],
    workerId: 'w',
    leaseMs: 1000,
    maxInFlight: 100,
    wake: () => wakes++,
    revoke: (jobs) => told.push(...jobs),
  })
})

function job(seq: number, bytes = 10): ClaimedJob {
  const fixed = {
    queue: 'q',
    function: '',
    contentType: '',
    headers: {},
    labels: {},
    priority: 0,
    attempt: 1,
    maxAttempts: 3,
    createdAt: 0,
  }
  return { ...fixed, seq, token: seq + 1000, payload: Buffer.alloc(bytes), leaseExpiresAt: 1 }
}

const jobs = (from: number, count: number, bytes?: number) => Array.from({ length: count }, (_, i) => job(from + i, bytes))
const tokens = (taken: readonly { leaseToken: string }[]) => taken.map(({ leaseToken }) => Number(leaseToken) - 1000)

describe('deliveries', () => {
  it('of one turn travel together, in order, and large ones apart', () => {
    demand.deliver(jobs(0, 3))
    demand.deliver(jobs(3, 2))
    expect(wakes).toBe(2)
    expect(tokens(deliveries.take())).toEqual([0, 1, 2, 3, 4])
    expect(deliveries.take()).toEqual([])
    demand.deliver([job(5, 60_000), job(6, 60_000), job(7, 5_000_000), job(8)])
    expect([deliveries.take(), deliveries.take(), deliveries.take(), deliveries.take()].map(tokens)).toEqual([[5], [6], [7], [8]])
    demand.deliver(jobs(10, 2500, 0))
    expect([deliveries.take(), deliveries.take()].flatMap(tokens).length).toBeLessThanOrEqual(2000)
  })

  it('stop while too much waits, and go on when it was taken', () => {
    demand.deliver(jobs(0, 10, 100_000))
    expect(credit).toEqual([])
    demand.deliver(jobs(10, 1, 100_000))
    expect(credit).toEqual([0])
    deliveries.setMaxInFlight(50)
    expect(credit).toEqual([0])
    while (deliveries.take().length > 0);
    expect(credit).toEqual([0, 50])
    deliveries.setMaxInFlight(60)
    expect(credit).toEqual([0, 50, 60])
  })

  it('that never left go back when the stream ends', async () => {
    demand.deliver(jobs(0, 2, 60_000))
    expect(tokens(deliveries.take())).toEqual([0])
    await deliveries.close()
    expect(closed).toBe(true)
    expect(settled).toEqual([{ seq: 1, token: 1001, action: { type: 'release' } }])
    expect(deliveries.take()).toEqual([])
  })

  it('that are revoked before they left are dropped, others are told', () => {
    demand.deliver([job(0, 60_000), job(1, 60_000), job(2)])
    expect(tokens(deliveries.take())).toEqual([0])
    const revoke = (seq: number, token: number) => ({ lease: { seq, function: '', token }, cause: 'cancelled' as const })
    demand.revoke([revoke(0, 1000), revoke(1, 1001), revoke(2, 7)])
    expect(told.map(({ lease }) => [lease.seq, lease.token])).toEqual([
      [0, 1000],
      [2, 7],
    ])
    expect(tokens(deliveries.take())).toEqual([2])
  })
})
