import type * as wire from '@millrace/protocol'
import { Coalescer } from '../calls/coalescer.ts'
import type { ClientContext } from '../context.ts'
import { refusalOf } from '../errors/to-error.ts'
import { createRequestId } from '../ids.ts'
import type { EnqueueResult } from './types.ts'

/** Lets jobs that are enqueued at the same time travel together. Groups are queues. */
export function createEnqueuer({ caller, clock }: ClientContext): Coalescer<wire.NewJob, wire.EnqueueResult, EnqueueResult> {
  return new Coalescer<wire.NewJob, wire.EnqueueResult, EnqueueResult>({
    clock,
    refusal: refusalOf,
    value: ({ jobId, seq, created }) => ({ jobId, seq, created }),
    async send(queue, jobs, timeoutMs) {
      const request = { queue, jobs: jobs as wire.NewJob[], requestId: createRequestId(clock.now()), allowPartial: true }
      return (await caller.unary('QueueService/EnqueueJobs', request, { safe: true, waitForRoom: true, timeoutMs })).results
    },
  })
}

/** Lets jobs that are settled at the same time travel together. Resolves with the end of the lease, after a renewal. */
export function createSettler({ caller, clock }: ClientContext): Coalescer<wire.Settlement, wire.SettleResult, Date | undefined> {
  return new Coalescer<wire.Settlement, wire.SettleResult, Date | undefined>({
    clock,
    refusal: refusalOf,
    value: (result) => result.leaseExpiresAt,
    async send(_group, settlements, timeoutMs) {
      // Safe to repeat: each carries its lease, so it is carried out once at most.
      const call = { safe: true, timeoutMs }
      return (await caller.unary('QueueService/SettleJobs', { settlements: settlements as wire.Settlement[] }, call)).results
    },
  })
}
