import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import { errorFromItem, notFound } from '../errors/to-error.ts'
import { createFollower } from '../follow/task-follower.ts'
import { createRequestId } from '../ids.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import { itemOverhead, missingField, toInt, toText } from '../wire.ts'
import { fromTask, fromTaskState, toNewTask, toTaskFilter } from './convert.ts'
import { createLogList, tailLogs } from './logs.ts'
import type { TaskProof } from './proof.ts'
import { createSubmitter } from './submitter.ts'
import { SubmittedTask } from './task-handle.ts'
import { TaskWatch } from './task-watch.ts'
import type {
  CancelOptions,
  ListTasksOptions,
  SubmitBatchOptions,
  SubmitBatchResult,
  SubmitTaskOptions,
  TaskHandle,
  TaskInfo,
  TaskLogEntry,
  TaskLogsOptions,
  TaskStatus,
  WaitBatchOptions,
  WaitOptions,
  WatchOptions,
} from './types.ts'
import { waitForTask, waitForTasks } from './wait.ts'

/** Ids that one request may ask for. */
const maxIds = 1000

/** Submits units of work by function name and follows them to their end. */
export class Tasks {
  readonly #context: ClientContext

  /** @internal Use `mr.tasks`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /**
   * Submits a task. Calls made at the same time travel together. A repeat after a broken connection never runs twice.
   * When the queue is full, it waits for room until the call's time is over.
   *
   * @throws ValidationError, ConflictError, QuotaExceededError, and what any call may throw.
   */
  async submit<R = unknown>(task: SubmitTaskOptions, call?: CallOptions): Promise<TaskHandle<R>> {
    const { timeoutMs, signal } = this.#context.bounds(call)
    const message = toNewTask(task)
    const bytes = message.payload.length + itemOverhead
    return new SubmittedTask<R>(this, await this.#context.shared(createSubmitter).add(message.queue, message, bytes, timeoutMs, signal))
  }

  /**
   * Submits tasks in one transaction: all or none.
   *
   * @throws as `submit`.
   */
  async submitBatch(batch: SubmitBatchOptions, call?: CallOptions): Promise<SubmitBatchResult> {
    const { tasks, ...defaults } = batch
    if (!Array.isArray(tasks)) throw invalid('tasks', 'is not an array.')
    const request = {
      tasks: tasks.map((task: SubmitTaskOptions) => toNewTask({ ...defaults, ...task })),
      requestId: createRequestId(this.#context.clock.now()),
      allowPartial: false,
      batch: true,
    }
    const bounds = this.#context.bounds(call)
    const response = await this.#context.caller.unary('TaskService/SubmitTasks', request, { ...bounds, safe: true, waitForRoom: true })
    const refused = response.results.find((result) => result.error)
    if (refused?.error) throw errorFromItem(refused.error)
    return { batchId: response.batchId, taskIds: response.results.map((result) => result.taskId) }
  }

  /** How far a task is. @throws TaskNotFoundError */
  async status<R = unknown>(taskId: string, call?: CallOptions): Promise<TaskStatus<R>> {
    const [task] = await this.#getMany([taskId], call)
    if (!task) throw notFound('task', taskId)
    return fromTaskState<R>(task)
  }

  /** All that is known of a task. @throws TaskNotFoundError */
  async get<R = unknown>(taskId: string, call?: CallOptions): Promise<TaskInfo<R>> {
    const request = { taskId: toText('taskId', taskId) }
    const { task } = await this.#context.safe('TaskService/GetTask', request, call)
    return fromTask<R>(required(task))
  }

  /**
   * Waits until a task has ended, in whatever terminal status. Woken by the server.
   *
   * @throws TaskTimeoutError, TaskNotFoundError.
   */
  wait<R = unknown>(taskId: string, options: WaitOptions = {}): Promise<TaskStatus<R>> {
    return waitForTask<R>(this.#context, taskId, options)
  }

  /** Follows a task: iterate what it returns, or listen with `on`. Makes no call before one of the two. */
  watch<R = unknown>(taskId: string, options: WatchOptions = {}): TaskWatch<R> {
    return new TaskWatch<R>(this.#context.shared(createFollower), taskId, options.signal)
  }

  /** How far many tasks are, by id. Ids that name no task are left out. */
  async statusBatch<R = unknown>(taskIds: readonly string[], call?: CallOptions): Promise<Record<string, TaskStatus<R>>> {
    const tasks = await this.#getMany(taskIds, call)
    return Object.fromEntries(tasks.map((task) => [task.taskId, fromTaskState<R>(task)]))
  }

  /**
   * Waits until all of these tasks have ended; resolves in the order of the ids.
   *
   * @throws TaskTimeoutError, TaskNotFoundError, and TaskFailedError with `failFast`.
   */
  waitBatch<R = unknown>(taskIds: readonly string[], options: WaitBatchOptions = {}): Promise<TaskStatus<R>[]> {
    return waitForTasks<R>(this.#context, taskIds, options)
  }

  /** Lists tasks, newest first. */
  list(options: ListTasksOptions = {}): List<TaskInfo> {
    return createList(async (from) => {
      const request: wire.ListTasksRequest = { ...toTaskFilter(options), limit: toInt('limit', options.limit), cursor: from }
      const { tasks, nextCursor } = await this.#context.safe('TaskService/ListTasks', request, options)
      return { items: tasks.map((task) => fromTask(task)), nextCursor }
    }, options.cursor)
  }

  /** Cancels a task; a running handler's signal fires. @throws ConflictError when it has ended, TaskNotFoundError. */
  async cancel<R = unknown>(taskId: string, options: CancelOptions = {}): Promise<TaskInfo<R>> {
    const request = { taskId: toText('taskId', taskId), reason: toText('reason', options.reason) }
    const { task } = await this.#context.unsafe('TaskService/CancelTask', request, options)
    return fromTask<R>(required(task))
  }

  /** Runs a failed or cancelled task again, with fresh attempts. @throws ConflictError in any other status, TaskNotFoundError. */
  async retry<R = unknown>(taskId: string, call?: CallOptions): Promise<TaskInfo<R>> {
    const { task } = await this.#context.unsafe('TaskService/RetryTask', { taskId: toText('taskId', taskId) }, call)
    return fromTask<R>(required(task))
  }

  /** Follows a task's log from its first line (or `cursor`) on, until the task has ended. */
  logs(taskId: string, options: TaskLogsOptions & { readonly follow: true }): AsyncIterable<TaskLogEntry>
  /** Lists a task's log, oldest line first. */
  logs(taskId: string, options?: TaskLogsOptions & { readonly follow?: false }): List<TaskLogEntry>
  logs(taskId: string, options: TaskLogsOptions & { readonly follow?: boolean } = {}): List<TaskLogEntry> | AsyncIterable<TaskLogEntry> {
    return options.follow ? tailLogs(this.#context, taskId, options) : createLogList(this.#context, taskId, options)
  }

  /**
   * The proof of where a task ran, of a completed task that was submitted with `teeRequired`.
   *
   * @throws TaskNotFoundError when there is no such task, or it has no proof.
   */
  async proof(taskId: string, call?: CallOptions): Promise<TaskProof> {
    const request = { taskId: toText('taskId', taskId) }
    const answer = await this.#context.safe('TaskService/GetTaskProof', request, call)
    // Few pages look at proofs: the others do not load what that takes.
    const { fromProof } = await import('./proof.ts')
    return fromProof(answer, taskId, this.#context.options.loadVerifier)
  }

  async #getMany(taskIds: readonly string[], call: CallOptions | undefined): Promise<wire.Task[]> {
    const found: wire.Task[] = []
    for (let i = 0; i < taskIds.length; i += maxIds) {
      const request = { taskIds: taskIds.slice(i, i + maxIds).map((taskId) => toText('taskId', taskId)) }
      const { tasks } = await this.#context.safe('TaskService/GetTasks', request, call)
      found.push(...tasks)
    }
    return found
  }
}

function required(task: wire.Task | undefined): wire.Task {
  if (!task) throw new InternalError(missingField('the task'))
  return task
}
