import { setTimeout as sleep } from 'node:timers/promises'
import { rawClient } from '../raw/raw.ts'
import type { Journal, Payload } from './journal.ts'
import { functionName, type WorkerSettings } from './settings.ts'
import { delivery, type Held, PlannedFailure, perform } from './work.ts'

interface Job {
  readonly jobId: string
  readonly attempt: number
  readonly leaseToken: string
  readonly payload: Buffer
}

interface Pushed {
  readonly deliveries?: { readonly jobs: readonly Job[] }
  readonly settled?: {
    readonly sequence: string
    readonly rejected: readonly { readonly jobId: string; readonly error: { readonly reason: string } }[]
  }
}

type Action = 'complete' | 'fail' | 'renew'

/** A settlement that the server has not answered yet. It is sent again over the next stream when this one breaks. */
interface Unanswered {
  readonly held: Held
  readonly action: Action
  readonly settlement: object
  answered(): void
}

/**
 * A worker straight on the contract: one `ProcessJobs` stream after the other, settlements repeated until answered.
 *
 * @returns what ends it: takes no more jobs, and waits until those in hand are settled.
 */
export function runRawWorker(options: WorkerSettings & { readonly journal: Journal; readonly concurrency: number }): () => Promise<void> {
  const { endpoint, key, namespace, name, leaseMs, journal, concurrency } = options
  const { talk } = rawClient('WorkerService', {
    endpoint,
    key,
    namespace,
    channel: { 'grpc.initial_reconnect_backoff_ms': 50, 'grpc.max_reconnect_backoff_ms': 500 },
  })
  const unanswered = new Map<number, Unanswered>()
  const working = new Set<Promise<void>>()
  let stream: ReturnType<typeof talk> | undefined
  let sequence = 0
  let stopped = false

  const settle = (held: Held, action: Action, settlement: object) =>
    new Promise<void>((answered) => {
      const number = ++sequence
      unanswered.set(number, { held, action, settlement: { jobId: held.id, leaseToken: held.token, ...settlement }, answered })
      send(number)
    })

  const send = (number: number) => {
    const { settlement } = unanswered.get(number)!
    stream?.write({ settle: { sequence: number, settlements: [settlement] } })
  }

  const work = async (held: Held) => {
    const late = {
      renew: () => settle(held, 'renew', { renew: {} }),
      fail: () => settle(held, 'fail', { fail: { error: { message: 'late' } } }),
    }
    try {
      const result = await perform(journal, name, leaseMs, held, late)
      await settle(held, 'complete', { complete: { result: Buffer.from(JSON.stringify(result)) } })
    } catch (error) {
      if (!(error instanceof PlannedFailure)) throw error
      await settle(held, 'fail', { fail: { error: { message: error.message } } })
    }
  }

  const hear = ({ deliveries, settled }: Pushed) => {
    for (const { jobId: id, attempt, leaseToken: token, payload } of deliveries?.jobs ?? []) {
      const done = work({ id, attempt, token, payload: JSON.parse(payload.toString()) as Payload }).finally(() => working.delete(done))
      working.add(done)
    }
    const answer = settled && unanswered.get(Number(settled.sequence))
    if (!answer) return
    unanswered.delete(Number(settled.sequence))
    const [rejected] = settled.rejected
    const { held, action } = answer
    if (rejected) journal.write({ type: 'refused', action, code: rejected.error.reason, ...delivery(name, held) })
    else journal.write({ type: 'acknowledged', action, ...delivery(name, held) })
    answer.answered()
  }

  const connect = () => {
    const call = talk('ProcessJobs')
    stream = call
    call.write({ subscribe: { functions: [functionName], workerId: name, leaseMs, maxInFlight: stopped ? 0 : concurrency } })
    for (const number of unanswered.keys()) send(number)
    call.on('data', hear)
    call.on('error', () => {}) // the same news as 'status'
    call.on('status', async () => {
      stream = undefined
      if (stopped && working.size === 0) return
      await sleep(50)
      connect()
    })
  }

  connect()
  return async () => {
    stopped = true
    stream?.write({ subscribe: { maxInFlight: 0 } })
    while (working.size > 0) await Promise.all(working)
    stream?.end()
  }
}
