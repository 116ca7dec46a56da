import {
  type FollowTasksRequest,
  type ListTasksRequest,
  type NewTask,
  type SubmitTaskResult,
  type Task,
  TaskProof,
  type TaskServiceDefinition,
  type WatchTasksRequest,
} from '@millrace/protocol'
import { functionOfLane, isAttestedLane, lanesOf } from '../domain/jobs/attested.ts'
import { formatId, parseId } from '../domain/jobs/ids.ts'
import { MillraceError, notFound } from '../errors.ts'
import { type JobFilter, type JobRecord, JobState, type Scope, type Seq } from '../store/ports.ts'
import type { Call, ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { enqueueItems } from './enqueue.ts'
import { FollowSession } from './follow-session.ts'
import { limits } from './limits.ts'
import { taskListView, watchView } from './live-views.ts'
import { readNewTask } from './new-jobs.ts'
import { cutPage, readCursor } from './pages.ts'
import { toLogEntry, toTask } from './shapes.ts'
import { tailTaskLogs, watchTask } from './watch-task.ts'

/** Bytes of one answer at most, where it has no pages: half of what the SDKs accept. */
const mostBytes = 16 * 1024 * 1024

/** Units of work by function name. A task is a job with a function. */
export function createTaskService(context: ServiceContext): ServiceOf<typeof TaskServiceDefinition> {
  const { engine, clock, payloadLimit, proofs } = context

  function seqOf(id: string, checks = new Checks()): Seq {
    checks.id('taskId', id)
    checks.done()
    const seq = parseId('task', id)
    if (seq === undefined) throw notFound('task', id)
    return seq
  }

  async function find(scope: Scope, id: string, checks?: Checks): Promise<JobRecord> {
    const job = await engine.get(scope, seqOf(id, checks)).catch((error) => {
      // The engine knows jobs only; here it is a task that does not exist.
      throw error instanceof MillraceError && error.reason === 'NOT_FOUND' ? notFound('task', id) : error
    })
    if (job.function === '') throw notFound('task', id)
    return job
  }

  /** What a pending task waits for beside its turn. */
  function waitsFor(scope: Scope, { state, function: lane, queue }: JobRecord): string {
    if (state !== JobState.pending || !isAttestedLane(lane)) return ''
    for (const worker of engine.workers(scope.tenant)) {
      const { namespace } = worker.scope
      if (namespace === scope.namespace && worker.queue === queue && worker.functions.includes(lane)) return ''
    }
    return `an attested worker for function '${functionOfLane(lane)}' in queue '${queue}': none is connected to this server`
  }

  async function submit(
    call: Call,
    tasks: readonly NewTask[],
    options: { readonly single: boolean; readonly requestId: string; readonly partial: boolean; readonly batch: boolean },
  ): Promise<{ results: SubmitTaskResult[]; batchId: string }> {
    const checks = new Checks()
    const now = clock.now()
    const { results, batch } = await enqueueItems({
      ...options,
      engine,
      scope: call.scope,
      checks,
      field: 'tasks',
      count: tasks.length,
      read(i) {
        if (options.single) checks.at('task')
        return readNewTask(checks, tasks[i]!, now, payloadLimit)
      },
    })
    return {
      results: results.map(({ seq, created, error }) => ({ taskId: seq === undefined ? '' : formatId('task', seq), created, error })),
      batchId: batch === undefined ? '' : formatId('batch', batch),
    }
  }

  return {
    async submitTask({ task, requestId }, call) {
      const checks = new Checks()
      if (!task) checks.fail('task', 'is missing')
      checks.done()
      const { results } = await submit(call, [task!], { single: true, requestId, partial: false, batch: false })
      const { taskId, created } = results[0]!
      return { taskId, created }
    },

    submitTasks({ tasks, requestId, allowPartial, batch }, call) {
      return submit(call, tasks, { single: false, requestId, partial: allowPartial, batch })
    },

    async getTask({ taskId }, call) {
      const job = await find(call.scope, taskId)
      return { task: { ...toTask(job, true), waitsFor: waitsFor(call.scope, job) } }
    },

    async getTaskProof({ taskId }, call) {
      const job = await find(call.scope, taskId)
      const data = job.state === JobState.completed ? await proofs.get(call.scope, job.seq) : undefined
      if (!data)
        throw new MillraceError('NOT_FOUND', `Task '${taskId}' has no proof: ${whyNoProof(job)}.`, { resource: 'proof', id: taskId })
      return { taskId, function: functionOfLane(job.function), proof: TaskProof.decode(data) }
    },

    async getTasks({ taskIds }, call) {
      const checks = new Checks()
      checks.count('taskIds', taskIds.length, 0, limits.ids)
      checks.done()
      const seqs = taskIds.map((id) => parseId('task', id)).filter((seq) => seq !== undefined)
      const found = new Map<Seq, Task>()
      let bytes = 0
      for (const job of await engine.getMany(call.scope, seqs)) {
        if (job.function === '') continue
        bytes += job.result?.length ?? 0
        if (bytes > mostBytes) checks.fail('taskIds', `name tasks with more than ${mostBytes} bytes of results; ask for fewer`)
        checks.done()
        found.set(job.seq, toTask(job))
      }
      return { tasks: seqs.map((seq) => found.get(seq)).filter((task) => task !== undefined) }
    },

    async listTasks(request, call) {
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      const before = readCursor(checks, 'cursor', request.cursor)
      const filter = readFilter(checks, request)
      const page = await engine.list(call.scope, filter, { limit, before })
      const { items, cursor } = cutPage(page, (job) => (job.result?.length ?? 0) + (job.error?.stack.length ?? 0) + 512)
      return { tasks: items.map((job) => toTask(job)), nextCursor: cursor }
    },

    async cancelTask({ taskId, reason }, call) {
      const checks = new Checks()
      checks.text('reason', reason, limits.reason)
      const { seq } = await find(call.scope, taskId, checks)
      return { task: toTask(await engine.cancel(call.scope, seq, reason)) }
    },

    async retryTask({ taskId }, call) {
      const { seq } = await find(call.scope, taskId)
      return { task: toTask(await engine.retry(call.scope, seq)) }
    },

    async *watchTask(request, call) {
      const task = await find(call.scope, request.taskId, checkPosition('afterRevision', request.afterRevision))
      yield* watchTask(context, task, request, call)
    },

    async *watchTasks(request, call) {
      const checks = new Checks()
      const limit = request.limit === 0 ? limits.liveList.default : request.limit
      checks.integer('limit', limit, 1, limits.liveList.max)
      const filter = readFilter(checks, request)
      yield* watchView(engine, taskListView(engine, call.scope, filter, limit), call, ({ tasks, more }) => ({
        tasks: tasks.map((job) => toTask(job)),
        more,
      }))
    },

    followTasks: (requests, call) => new FollowSession(context, call).run(requests),

    async *followTaskSet({ taskIds, terminalTaskIds }, call) {
      async function* requests(): AsyncGenerator<FollowTasksRequest> {
        yield { add: taskIds, remove: [], terminalOnly: false }
        yield { add: terminalTaskIds, remove: [], terminalOnly: true }
      }
      yield* new FollowSession(context, call).run(requests())
    },

    async listTaskLogs({ taskId, afterSequence, limit: asked }, call) {
      const checks = checkPosition('afterSequence', afterSequence)
      const limit = checks.page('limit', asked)
      const { seq } = await find(call.scope, taskId, checks)
      const lines = await engine.logs(call.scope, seq, { limit: limit + 1, after: afterSequence })
      return { entries: lines.slice(0, limit).map(toLogEntry), more: lines.length > limit }
    },

    async *tailTaskLogs({ taskId, afterSequence }, call) {
      const { seq } = await find(call.scope, taskId, checkPosition('afterSequence', afterSequence))
      yield* tailTaskLogs(context, seq, afterSequence, call)
    },
  }
}

/** What a request asks of the tasks it lists. */
function readFilter(checks: Checks, request: ListTasksRequest | WatchTasksRequest): JobFilter {
  const states = checks.states('states', request.states)
  const batch = request.batchId === '' ? undefined : parseId('batch', request.batchId)
  if (request.batchId !== '' && batch === undefined) checks.fail('batchId', 'is not the id of a batch')
  checks.labels('labels', request.labels)
  const name = checks.nameOr('function', request.function, '')
  const queue = checks.nameOr('queue', request.queue, '')
  checks.done()
  return {
    labels: request.labels,
    states: states.length > 0 ? states : undefined,
    functions: name ? lanesOf(name) : undefined,
    queue: queue || undefined,
    batch,
    tasksOnly: true,
  }
}

function whyNoProof({ function: lane, state }: JobRecord): string {
  if (!isAttestedLane(lane)) return 'it did not require a trusted execution environment'
  return state === JobState.completed ? 'its worker gave none' : 'it has not completed'
}

function checkPosition(field: string, value: number): Checks {
  const checks = new Checks()
  checks.integer(field, value, 0, Number.MAX_SAFE_INTEGER)
  return checks
}
