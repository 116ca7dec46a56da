import type { Job, ReceiveJobsRequest } from '@millrace/protocol'
import type { Call } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { limits, pageBytes } from './limits.ts'
import { toJob } from './shapes.ts'

/**
 * Takes jobs under a lease. Jobs that would make the answer too large for a client go back unstarted; the first always
 * stays.
 */
export async function receiveJobs({ engine }: ServiceContext, request: ReceiveJobsRequest, call: Call): Promise<Job[]> {
  const checks = new Checks()
  checks.name('queue', request.queue)
  checks.integer('maxJobs', request.maxJobs, 0, limits.receive)
  checks.integer('waitMs', request.waitMs, 0, limits.wait)
  const leaseMs = checks.lease('leaseMs', request.leaseMs)
  const workerId = checks.nameOr('workerId', request.workerId, 'anonymous')
  checks.done()
  const { queue, waitMs } = request
  const { scope, signal } = call
  const claimed = await engine.receive({ scope, queue, max: request.maxJobs || 1, leaseMs, waitMs, workerId, signal })

  let bytes = 0
  let kept = 0
  for (const job of claimed) {
    bytes += job.payload.length + 128
    // Nobody reads an answer to a call that has ended.
    if (signal.aborted || (bytes > pageBytes && kept > 0)) break
    kept++
  }
  const left = claimed.slice(kept)
  if (left.length > 0) {
    await engine.settle(
      scope,
      left.map(({ seq, token }) => ({ seq, token, action: { type: 'release' } })),
    )
  }
  if (kept === 0) signal.throwIfAborted()
  return claimed.slice(0, kept).map(toJob)
}
