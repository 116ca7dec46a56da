import { setTimeout as sleep } from 'node:timers/promises'
import { type RawClient, rawClient } from '../raw/raw.ts'
import type { Journal, Payload } from './journal.ts'
import { functionName, type WorkerSettings } from './settings.ts'
import { attemptCall, type Held, PlannedFailure, perform } from './work.ts'

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

/** Comes back soon, and notices soon when the server is silent. */
const channel = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.keepalive_time_ms': 1000,
  'grpc.keepalive_timeout_ms': 1000,
}

/** A settlement that the server has not answered yet. It is sent again over the next stream when this one breaks. */
interface Unanswered {
  readonly settlement: object
  accepted(): void
  refused(error: { readonly code: string }): void
}

/**
 * A worker straight on the contract: one `ProcessJobs` stream after the other, settlements repeated until answered.
 *
 * @returns what ends it: takes no more jobs, and waits until those in hand are settled.
 */
export function runRawWorker(options: WorkerSettings & { readonly journal: Journal }): () => Promise<void> {
  const { endpoint, key, namespace, name, leaseMs, journal, concurrency } = options
  const clients = endpoint.split(',').map((server) => rawClient('WorkerService', { endpoint: server, key, namespace, channel }))
  const unanswered = new Map<number, Unanswered>()
  const working = new Set<Promise<void>>()
  let stream: ReturnType<RawClient['talk']> | undefined
  let connections = 0
  let sequence = 0
  let stopped = false

  const settle = ({ id: jobId, token: leaseToken }: Held, action: object) =>
    new Promise<void>((accepted, refused) => {
      const number = ++sequence
      unanswered.set(number, { settlement: { jobId, leaseToken, ...action }, accepted, refused })
      send(number)
    })

  const send = (number: number) => {
    const { settlement } = unanswered.get(number)!
    stream?.write({ settle: { sequence: number, settlements: [settlement] } })
  }

  const work = async (held: Held) => {
    const fail = (message: string) => settle(held, { fail: { error: { message } } })
    const late = { renew: () => settle(held, { renew: {} }), fail: () => fail('late') }
    try {
      const result = Buffer.from(JSON.stringify(await perform(journal, name, leaseMs, held, late)))
      await attemptCall(journal, name, held, 'complete', () => settle(held, { complete: { result } }))
    } catch (error) {
      if (!(error instanceof PlannedFailure)) throw error
      await attemptCall(journal, name, held, 'fail', () => fail(error.message))
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
    if (rejected) answer.refused({ code: rejected.error.reason })
    else answer.accepted()
  }

  const connect = () => {
    // Each time at the next server.
    const call = clients[connections++ % clients.length]!.talk('ProcessJobs')
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
