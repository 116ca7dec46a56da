import { setTimeout as sleep } from 'node:timers/promises'
import { hashOf } from './checker.ts'
import type { Journal, Payload, Result } from './journal.ts'

/** One delivery, whichever way it came. */
export interface Held {
  readonly id: string
  readonly attempt: number
  /** '' when the API does not show it. */
  readonly token: string
  readonly payload: Payload
}

/** The late calls of a worker that was paused. Absent where the API makes no such calls by hand. */
export interface LateCalls {
  renew(): Promise<unknown>
  fail(): Promise<unknown>
}

/** An attempt that the plan makes fail. */
export class PlannedFailure extends Error {
  override readonly name = 'PlannedFailure'
}

/** What the journal says of a delivery. */
export function delivery(worker: string, { id, attempt, token }: Held) {
  return { id, attempt, token, worker }
}

/**
 * Does a job as its plan says, and journals its effect first.
 *
 * @throws PlannedFailure when the plan wants the attempt to fail.
 */
export async function perform(journal: Journal, worker: string, leaseMs: number, held: Held, late?: LateCalls): Promise<Result> {
  const { attempt, token, payload } = held
  const { n, plan } = payload
  const began = Date.now()
  journal.write({ type: 'effect', n, ...delivery(worker, held) })
  switch (plan) {
    case 'slow': {
      const until = began + leaseMs * 1.5
      while (Date.now() < until) {
        await sleep(leaseMs / 4)
        // A renewal that fails is journalled as such; the completion shows whether the lease still stands.
        if (late) await attemptCall(journal, worker, held, 'renew', late.renew)
      }
      break
    }
    case 'flaky':
      if (attempt === 1) throw new PlannedFailure('the first attempt fails')
      break
    case 'dead':
      throw new PlannedFailure('every attempt fails')
    case 'cancel':
      await sleep(200)
      break
    case 'late':
      if (attempt === 1) {
        // Nobody renews meanwhile: the test has stopped this process.
        while (Date.now() < began + leaseMs + 1000) await sleep(20)
        if (late) {
          await attemptCall(journal, worker, held, 'renew', late.renew)
          await attemptCall(journal, worker, held, 'fail', late.fail)
        } else await sleep(1000) // time to be told
      }
      break
    case 'ok':
      await sleep(Number.parseInt(hashOf(n).slice(0, 2), 16)) // up to a quarter of a second
  }
  return { n, hash: hashOf(n), attempt, token }
}

/** Makes a call about a delivery until the server answers, and journals the answer. */
export async function attemptCall(
  journal: Journal,
  worker: string,
  held: Held,
  action: 'complete' | 'fail' | 'renew',
  call: () => Promise<unknown>,
): Promise<void> {
  for (;;) {
    try {
      await call()
      journal.write({ type: 'acknowledged', action, ...delivery(worker, held) })
      return
    } catch (error) {
      const code = codeOf(error)
      if (code === 'CONFLICT' || code === 'NOT_FOUND') {
        journal.write({ type: 'refused', action, code, ...delivery(worker, held) })
        return
      }
      // The server is away, or was when it should have answered: the call may be repeated under the same lease.
      if (code !== 'UNAVAILABLE' && code !== 'DEADLINE_EXCEEDED') throw error
      await sleep(50)
    }
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error)
}
