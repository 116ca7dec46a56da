import type { GetHealthResponse } from '@millrace/protocol'
import type { LiveView, ViewWatcher } from '../domain/jobs/live-views.ts'
import type { JobEngine } from '../domain/jobs/types.ts'
import type { JobFilter, JobRecord, QueueStats, Scope } from '../store/ports.ts'
import type { Call } from './call.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Bytes of results in a live list: it is sent again with each change. */
const mostBytes = 256 * 1024
/** Pages looked through for one list: each is bounded, and a filter that fits few tasks has many. */
const mostPages = 10
/** How often health is looked at without a change: a full disk and a server that is gone send no event. */
const healthMs = 5000

/**
 * Streams what is watched: as it stands, then after each change. A peer that reads slowly gets the latest alone.
 *
 * @param watch - begins to watch; returns what ends it.
 */
export async function* streamLatest<T, M extends object>(
  watch: (watcher: ViewWatcher<T>) => () => void,
  call: Call,
  shape: (value: T) => M,
): AsyncGenerator<M, void, undefined> {
  const wakeup = new Wakeup()
  let latest: { readonly value: T } | undefined
  let failure: { readonly error: unknown } | undefined
  const stop = watch({
    show(value) {
      latest = { value }
      wakeup.wake()
    },
    fail(error) {
      failure = { error }
      wakeup.wake()
    },
  })
  const take = (): M | undefined => {
    if (failure) throw failure.error
    if (!latest) return undefined
    const { value } = latest
    latest = undefined
    return shape(value)
  }
  try {
    yield* pump(take, wakeup, call.signal)
  } finally {
    stop()
  }
}

/** Streams what a view of jobs shows. */
export function watchView<T, M extends object>(
  engine: JobEngine,
  view: LiveView<T>,
  call: Call,
  shape: (value: T) => M,
): AsyncGenerator<M, void, undefined> {
  return streamLatest((watcher) => engine.watch(view, watcher), call, shape)
}

/** The newest tasks that fit a filter. */
export interface TaskList {
  readonly tasks: readonly JobRecord[]
  /** There may be older ones. */
  readonly more: boolean
}

/** The newest tasks that fit a filter, as a view. */
export function taskListView(engine: JobEngine, scope: Scope, filter: JobFilter, limit: number): LiveView<TaskList> {
  const sorted = { ...filter, labels: Object.entries(filter.labels ?? {}).sort(), states: filter.states?.toSorted() }
  const { tenant, namespace } = scope
  return {
    tenant,
    namespace,
    // The whole scope: who may see less shares no view with who may see more.
    key: `tasks ${JSON.stringify([scope, sorted, limit])}`,
    queue: filter.queue,
    async read() {
      const tasks: JobRecord[] = []
      let bytes = 0
      let before: number | undefined
      for (let page = 0; page < mostPages; page++) {
        const { items, next } = await engine.list(scope, filter, { limit: limit - tasks.length, before })
        for (const job of items) {
          bytes += (job.result?.length ?? 0) + (job.error?.stack.length ?? 0) + 512
          if (bytes > mostBytes && tasks.length > 0) return { tasks, more: true }
          tasks.push(job)
        }
        if (next === undefined || tasks.length >= limit) return { tasks, more: next !== undefined }
        before = next
      }
      return { tasks, more: true }
    },
    same: (a, b) =>
      a.more === b.more &&
      a.tasks.length === b.tasks.length &&
      a.tasks.every((job, i) => job.seq === b.tasks[i]!.seq && job.revision === b.tasks[i]!.revision),
  }
}

/** The counts of a queue, as a view. */
export function queueStatsView(engine: JobEngine, scope: Scope, queue: string): LiveView<QueueStats> {
  const { tenant, namespace } = scope
  const key = `stats ${JSON.stringify([scope, queue])}`
  return { tenant, namespace, key, queue, read: () => engine.stats(scope, queue), same: sameFields }
}

/** The health of the servers, as a view. */
export function healthView(scope: Scope, read: () => Promise<GetHealthResponse>): LiveView<GetHealthResponse> {
  const same = (a: GetHealthResponse, b: GetHealthResponse) => JSON.stringify(a) === JSON.stringify(b)
  return { tenant: scope.tenant, key: 'health', refreshMs: healthMs, read, same }
}

function sameFields<T extends object>(a: T, b: T): boolean {
  return Object.keys({ ...a, ...b }).every((key) => a[key as keyof T] === b[key as keyof T])
}
