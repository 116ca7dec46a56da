import type * as wire from '@millrace/protocol'
import type { ClientBase } from '../client-base.ts'
import { type ClusterHealth, fromHealth } from '../cluster.ts'
import { InternalError } from '../errors/errors.ts'
import type { QueueStats } from '../queues/types.ts'
import { fromTask, fromTaskUpdate, toTaskFilter } from '../tasks/convert.ts'
import type { ListTasksOptions, TaskInfo, TaskUpdate } from '../tasks/types.ts'
import { missingField, toInt, toText } from '../wire.ts'
import { createObserver } from './registry.ts'
import { streamSource, taskSource } from './sources.ts'
import type { Observer } from './types.ts'

/** Which tasks a live list shows: those that meet every condition, newest first. */
export interface LiveTasksOptions extends Pick<ListTasksOptions, 'labels' | 'status' | 'function' | 'queue' | 'batchId'> {
  /** Tasks in the list. 1 to 200, default 50. */
  readonly limit?: number
}

/** A live list of tasks. */
export interface LiveTasks<R = unknown> {
  /** The tasks as they stand, newest first. One that did not change is the same object as before. */
  readonly tasks: readonly TaskInfo<R>[]
  /** True when there may be older ones that the list leaves out. */
  readonly more: boolean
}

/**
 * A task by its id: its state now and after each change, to its end.
 *
 * @typeParam R - what its result is.
 */
export function observeTask<R = unknown>(client: ClientBase, taskId: string): Observer<TaskUpdate<R>> {
  const id = toText('taskId', taskId)
  return createObserver(client, `task ${id}`, (context) => taskSource(context, id, (update) => fromTaskUpdate<R>(update)))
}

/**
 * The newest tasks that meet some conditions.
 *
 * @typeParam R - what their results are.
 */
export function observeTasks<R = unknown>(client: ClientBase, options: LiveTasksOptions = {}): Observer<LiveTasks<R>> {
  const filter = toTaskFilter(options)
  const request = { ...filter, labels: sorted(filter.labels), limit: toInt('limit', options.limit) }
  return createObserver(client, `tasks ${JSON.stringify(request)}`, (context) => {
    let known = new Map<string, readonly [revision: number, task: TaskInfo<R>]>()
    return streamSource(context, 'TaskService/WatchTasks', () => ({
      request,
      read({ tasks, more }) {
        const read = (task: wire.Task) => {
          const before = known.get(task.taskId)
          return before?.[0] === task.revision ? before : ([task.revision, fromTask<R>(task)] as const)
        }
        known = new Map(tasks.map((task) => [task.taskId, read(task)]))
        return { tasks: [...known.values()].map(([, task]) => task), more }
      },
    }))
  })
}

/** The counts of a queue. `oldestAgeMs` is that of the moment of the last change. */
export function observeQueueStats(client: ClientBase, queue: string): Observer<QueueStats> {
  const name = toText('queue', queue)
  return createObserver(client, `stats ${name}`, (context) =>
    streamSource(context, 'QueueService/WatchQueueStats', () => ({
      request: { queue: name },
      read({ stats }) {
        if (!stats) throw new InternalError(missingField('the counts'))
        const { queue: _name, ...counts } = stats
        return counts
      },
    })),
  )
}

/** The health of the servers and the depth of the queues. */
export function observeClusterHealth(client: ClientBase): Observer<ClusterHealth> {
  return createObserver(client, 'health', (context) =>
    streamSource(context, 'ClusterService/WatchHealth', () => ({
      request: {},
      read({ health }) {
        if (!health) throw new InternalError(missingField('the health'))
        return fromHealth(health)
      },
    })),
  )
}

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}
