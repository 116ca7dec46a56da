import type { TaskWatch } from './task-watch.ts'
import type { Tasks } from './tasks.ts'
import type { CancelOptions, TaskHandle, TaskInfo, TaskResult, TaskStatus, WaitOptions, WatchOptions } from './types.ts'

/** A submitted task. */
export class SubmittedTask<R> implements TaskHandle<R> {
  readonly taskId: string
  readonly created: boolean
  readonly #tasks: Tasks

  constructor(tasks: Tasks, { taskId, created }: TaskResult) {
    this.#tasks = tasks
    this.taskId = taskId
    this.created = created
  }

  wait(options?: WaitOptions): Promise<TaskStatus<R>> {
    return this.#tasks.wait<R>(this.taskId, options)
  }

  watch(options?: WatchOptions): TaskWatch<R> {
    return this.#tasks.watch<R>(this.taskId, options)
  }

  cancel(options?: CancelOptions): Promise<TaskInfo<R>> {
    return this.#tasks.cancel<R>(this.taskId, options)
  }
}
