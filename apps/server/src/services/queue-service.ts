import type { EnqueueResult, GetQueueStatsResponse, JobInfo, QueueServiceDefinition, Settlement } from '@millrace/protocol'
import { jobId, parseJobId } from '../domain/jobs/ids.ts'
import { invalid, notFound, ServerStopping } from '../errors.ts'
import type { JobRecord, NewJob, QueueStats, Scope, Seq } from '../store/ports.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { Deliveries } from './deliveries.ts'
import { enqueueItems } from './enqueue.ts'
import { limits } from './limits.ts'
import { queueStatsView, watchView } from './live-views.ts'
import { readNewJob, readRetryPolicy } from './new-jobs.ts'
import { cutPage, readCursor } from './pages.ts'
import { receiveJobs } from './receive.ts'
import { settleBatch, settleOne } from './settlements.ts'
import { toDate, toJobInfo, toQueue } from './shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Durable job queues. */
export function createQueueService(context: ServiceContext): ServiceOf<typeof QueueServiceDefinition> {
  const { engine, clock, payloadLimit } = context

  /** Reads a job by its id; the queue, when it is given, must be the job's. */
  async function find(scope: Scope, queue: string, id: string): Promise<JobRecord> {
    const checks = new Checks()
    checks.nameOr('queue', queue, '')
    checks.id('jobId', id)
    checks.done()
    const seq = parseJobId(id)
    if (seq === undefined) throw notFound('job', id)
    const job = await engine.get(scope, seq)
    if (jobId(job) !== id || (queue !== '' && job.queue !== queue)) throw notFound('job', id)
    return job
  }

  function settle(scope: Scope, request: { readonly jobId: string; readonly leaseToken: string }, action: Settlement['action']) {
    return settleOne(context, scope, { jobId: request.jobId, leaseToken: request.leaseToken, action })
  }

  return {
    async enqueueJobs(request, call) {
      const checks = new Checks()
      checks.name('queue', request.queue)
      const now = clock.now()
      const guard = await context.schemas.guard(call.scope, 'queue', request.queue)
      const { results } = await enqueueItems({
        engine,
        scope: call.scope,
        checks,
        field: 'jobs',
        count: request.jobs.length,
        read(i): NewJob {
          const job = readNewJob(checks, request.jobs[i]!, request.queue, now, payloadLimit)
          return guard ? checks.schema(guard, job) : job
        },
        requestId: request.requestId,
        partial: request.allowPartial,
        batch: false,
      })
      return {
        results: results.map(({ seq, function: name, created, error }): EnqueueResult => {
          return { jobId: seq === undefined ? '' : jobId({ seq, function: name }), seq: seq ?? 0, created, error }
        }),
      }
    },

    async receiveJobs(request, call) {
      return { jobs: await receiveJobs(context, request, call) }
    },

    async *streamJobs(request, call) {
      const checks = new Checks()
      checks.name('queue', request.queue)
      const workerId = checks.nameOr('workerId', request.workerId, 'anonymous')
      const leaseMs = checks.lease('leaseMs', request.leaseMs)
      checks.integer('maxInFlight', request.maxInFlight, 0, limits.inFlight)
      checks.done()
      const wakeup = new Wakeup()
      const deliveries = new Deliveries({
        engine,
        scope: call.scope,
        queue: request.queue,
        functions: [''],
        workerId,
        leaseMs,
        maxInFlight: request.maxInFlight || 1,
        wake: () => wakeup.wake(),
        revoke: () => {}, // the stream has no message for it: settling under the old lease is refused
      })
      const take = () => {
        const jobs = deliveries.take()
        return jobs.length > 0 ? { jobs } : undefined
      }
      try {
        yield* pump(take, wakeup, call.signal)
      } catch (error) {
        if (!(error instanceof ServerStopping)) throw error
      } finally {
        await deliveries.close()
      }
    },

    async completeJob(request, call) {
      const { result, contentType } = request
      await settle(call.scope, request, {
        $case: 'complete',
        value: { result, contentType, state: undefined, deleteState: false, proof: undefined },
      })
      return {}
    },

    async failJob(request, call) {
      const { error, noRetry, delayMs } = request
      await settle(call.scope, request, { $case: 'fail', value: { error, noRetry, delayMs } })
      return {}
    },

    async renewLease(request, call) {
      const end = await settle(call.scope, request, { $case: 'renew', value: { leaseMs: request.leaseMs } })
      return { leaseExpiresAt: toDate(end) }
    },

    async settleJobs(request, call) {
      return { results: await settleBatch(context, call, request.settlements) }
    },

    async getJob(request, call) {
      return { job: toJobInfo(await find(call.scope, request.queue, request.jobId)) }
    },

    async cancelJob(request, call) {
      const checks = new Checks()
      checks.text('reason', request.reason, limits.reason)
      checks.done()
      const { seq } = await find(call.scope, request.queue, request.jobId)
      return { job: toJobInfo(await engine.cancel(call.scope, seq, request.reason)) }
    },

    async getQueueStats({ queue }, call) {
      checkQueue(queue)
      return toStats(queue, await engine.stats(call.scope, queue), clock.now())
    },

    async *watchQueueStats({ queue }, call) {
      checkQueue(queue)
      const shape = (stats: QueueStats) => ({ stats: toStats(queue, stats, clock.now()) })
      yield* watchView(engine, queueStatsView(engine, call.scope, queue), call, shape)
    },

    async getQueue({ queue }, call) {
      checkQueue(queue)
      return { queue: toQueue(await engine.queueSettings(call.scope, queue)) }
    },

    async updateQueue({ queue, retryPolicy, maxDepth }, call) {
      const checks = new Checks()
      checks.name('queue', queue)
      if (maxDepth !== undefined) checks.integer('maxDepth', maxDepth, 0, Number.MAX_SAFE_INTEGER)
      const retry = retryPolicy && readRetryPolicy(checks, 'retryPolicy', retryPolicy)
      checks.done()
      return { queue: toQueue(await engine.updateQueue(call.scope, queue, { retry, maxDepth })) }
    },

    async listQueues(request, call) {
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      checks.nameOr('cursor', request.cursor, '')
      checks.done()
      const queues = await engine.listQueues(call.scope, { limit, after: request.cursor })
      return { queues: queues.map(toQueue), nextCursor: queues.length < limit ? '' : queues.at(-1)!.name }
    },

    async pauseQueue({ queue }, call) {
      checkQueue(queue)
      await engine.updateQueue(call.scope, queue, { paused: true })
      return {}
    },

    async resumeQueue({ queue }, call) {
      checkQueue(queue)
      await engine.updateQueue(call.scope, queue, { paused: false })
      return {}
    },

    async listDeadLetters(request, call) {
      const checks = new Checks()
      checks.name('queue', request.queue)
      const limit = checks.page('limit', request.limit)
      const after = readCursor(checks, 'cursor', request.cursor)
      checks.done()
      const page = await engine.listDead(call.scope, request.queue, { limit, after })
      const { items, cursor } = cutPage(page, (job) => (job.payload?.length ?? 0) + (job.error?.stack.length ?? 0) + 512)
      return { jobs: items.map((job): JobInfo => toJobInfo(job)), nextCursor: cursor }
    },

    async replayDeadLetters({ queue, jobId: id, all }, call) {
      const checks = new Checks()
      checks.name('queue', queue)
      if (all === (id !== '')) checks.fail('jobId', 'give either jobId or all')
      checks.done()
      const which: Seq | 'all' | undefined = all ? 'all' : parseJobId(id)
      if (which === undefined) throw notFound('job', id)
      return { replayed: await engine.replayDead(call.scope, queue, which) }
    },

    async purgeDeadLetters({ queue, confirm }, call) {
      checkQueue(queue)
      if (!confirm) throw invalid('confirm', 'must be true: purged jobs are gone for good')
      return { purged: await engine.purgeDead(call.scope, queue) }
    },
  }
}

function toStats(queue: string, { oldestPendingAt, ...counts }: QueueStats, now: number): GetQueueStatsResponse {
  return { queue, ...counts, oldestAgeMs: oldestPendingAt === undefined ? 0 : Math.max(0, now - oldestPendingAt) }
}

function checkQueue(queue: string): void {
  const checks = new Checks()
  checks.name('queue', queue)
  checks.done()
}
