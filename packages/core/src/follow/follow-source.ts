import type * as wire from '@millrace/protocol'
import type { MillraceError } from '../errors/errors.ts'

/** A task that somebody follows. */
export interface FollowedTask {
  /** Its id, `task_…`. */
  readonly taskId: string
  /** True while everybody who follows it waits for its end alone. */
  readonly terminalOnly: boolean
  /** The last revision seen; -1 before the first. */
  readonly revision: number
}

/** What a source of updates tells. */
export interface FollowEvents {
  /** A task's state. */
  update(update: wire.TaskUpdate): void
  /** There is no such task. */
  missing(taskId: string): void
  /** The server answers. */
  connected(): void
  /** A connection is about to be opened. Returns what `broken` is told if it breaks. */
  opening(): number
  /** The connection broke. Returns when to open it again, in milliseconds; undefined: not at all. */
  broken(error: MillraceError, opened: number): number | undefined
  /** Every task to follow. */
  followed(): Iterable<FollowedTask>
}

/** Gets updates of any number of tasks from the server, over breaks of the connection. */
export interface FollowSource {
  /** Follows a task from its present state on. */
  add(task: FollowedTask): void
  /** Follows it no longer. */
  remove(taskId: string): void
  /** Ends everything. */
  close(): void
}
