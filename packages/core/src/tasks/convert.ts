import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { invalid } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { fromJobError, fromState, known, toDate, toFlow, toInt, toRetryPolicy, toState, toText, toTexts } from '../wire.ts'
import type { ListTasksOptions, SubmitTaskOptions, TaskInfo, TaskLogEntry, TaskPriority, TaskStatus, TaskUpdate } from './types.ts'

const priorities: Readonly<Record<string, number>> = { low: -10, normal: 0, high: 10, critical: 100 }
const levels: readonly TaskLogEntry['level'][] = ['info', 'debug', 'info', 'warn', 'error']

/** A task as it is submitted. Complete by hand: this is the hot path. */
export function toNewTask(options: SubmitTaskOptions): wire.NewTask {
  const { payload, contentType } = encodePayload('payload', options.payload)
  return {
    function: functionOf(options),
    payload,
    contentType,
    queue: toText('queue', options.queue),
    priority: toPriority(options.priority),
    timeoutMs: toMs('timeout', options.timeout),
    idempotencyKey: toText('idempotencyKey', options.idempotencyKey),
    labels: toTexts('labels', options.labels),
    headers: toTexts('headers', options.headers),
    delayMs: toMs('delay', options.delay),
    runAt: toDate('runAt', options.runAt),
    retry: toRetryPolicy('retry', options.retry),
    ...toFlow(options),
    stateKey: toStateKey(options),
    initialState: options.initialState === undefined ? undefined : toStateValue('initialState', options.initialState),
    stateTtlMs: toMs('stateTtl', options.stateTtl),
    teeRequired: options.teeRequired ?? false,
  }
}

function toStateKey({ type, stateKey }: SubmitTaskOptions): string {
  if (type !== undefined && type !== 'stateless' && type !== 'stateful') {
    throw invalid('type', `'${String(type)}' is not 'stateless' or 'stateful'.`)
  }
  if (type === 'stateful' && !stateKey) throw invalid('stateKey', 'is missing: a stateful task works on a state.')
  if (type === 'stateless' && stateKey) throw invalid('stateKey', 'is given: a stateless task works on no state.')
  return toText('stateKey', stateKey)
}

/** A state as it travels. */
export function toStateValue(path: string, value: unknown): wire.StateValue {
  const { payload, contentType } = encodePayload(path, value)
  return { data: payload, contentType }
}

/** The function of a task: its own, or that in its payload. */
export function functionOf({ function: name, payload }: { readonly function?: string; readonly payload?: unknown }): string {
  if (name !== undefined) return toText('function', name)
  const inside = typeof payload === 'object' && payload !== null && 'function' in payload ? payload.function : undefined
  return typeof inside === 'string' ? inside : 'default'
}

export function toPriority(priority: TaskPriority | undefined): number {
  if (typeof priority !== 'string') return toInt('priority', priority)
  const value = priorities[priority]
  if (value === undefined) throw invalid('priority', `'${priority}' is not one of low, normal, high, critical.`)
  return value
}

/** What a list of tasks asks of them. */
export function toTaskFilter(
  options: Pick<ListTasksOptions, 'labels' | 'status' | 'function' | 'queue' | 'batchId'>,
): Omit<wire.ListTasksRequest, 'limit' | 'cursor'> {
  const { status = [] } = options
  return {
    labels: toTexts('labels', options.labels),
    states: (typeof status === 'string' ? [status] : status).map(toState),
    function: toText('function', options.function),
    queue: toText('queue', options.queue),
    batchId: toText('batchId', options.batchId),
  }
}

/** The parts that a task and an update have in common. */
export function fromTaskState<R>(task: wire.Task | wire.TaskUpdate): TaskStatus<R> {
  const status = fromState(task.state)
  const error = fromJobError(task.error)
  return {
    taskId: task.taskId,
    status,
    progress: task.progress,
    message: task.message,
    ...(status === 'completed' && { result: decodePayload('result', task.result, task.resultContentType) as R }),
    ...(error && { error }),
  }
}

export function fromTaskUpdate<R>(update: wire.TaskUpdate): TaskUpdate<R> {
  return { ...fromTaskState<R>(update), timestamp: update.timestamp ?? new Date(0), attempts: update.attempts }
}

export function fromTask<R>(task: wire.Task): TaskInfo<R> {
  const { startedAt, finishedAt } = task
  return {
    ...fromTaskState<R>(task),
    function: task.function,
    type: task.stateKey === '' ? 'stateless' : 'stateful',
    teeRequired: task.teeRequired,
    queue: task.queue,
    priority: task.priority,
    ...(task.payload.length > 0 && { payload: decodePayload('payload', task.payload, task.contentType) }),
    labels: task.labels,
    attempts: task.attempts,
    maxAttempts: task.maxAttempts,
    createdAt: task.createdAt ?? new Date(0),
    ...known({
      stateKey: task.stateKey,
      waitsFor: task.waitsFor,
      batchId: task.batchId,
      pipelineId: task.pipelineId,
      startedAt,
      finishedAt,
      runAt: task.runAt,
      executedOn: task.workerId,
      durationMs: startedAt && finishedAt && finishedAt.getTime() - startedAt.getTime(),
    }),
  }
}

export function fromLogEntry(entry: wire.LogEntry): TaskLogEntry {
  return {
    timestamp: entry.timestamp ?? new Date(0),
    level: levels[entry.level as number] ?? 'info',
    message: entry.message,
    ...(entry.fieldsJson && { fields: toFields(entry.fieldsJson) }),
  }
}

/** Fields that a foreign worker sent as something else than a JSON object come as text. */
function toFields(json: string): Readonly<Record<string, unknown>> {
  try {
    const fields: unknown = JSON.parse(json)
    if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) return fields as Record<string, unknown>
  } catch {
    // Shown as it is.
  }
  return { text: json }
}
