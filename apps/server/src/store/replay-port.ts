import type { Scope } from './ports.ts'

/** Where a replay stands. */
export type ReplayState = 'ready' | 'running' | 'paused' | 'stopped'

/** A range of a stream that is delivered once more, to a group of its own. */
export interface ReplayRecord {
  readonly stream: string
  /** That of the stream it was made for: another stream of the same name has other messages. */
  readonly number: number
  readonly group: string
  /** By partition: the first message, and the one after the last. */
  readonly ranges: readonly (readonly [from: number, to: number])[]
  /** When the first message was written, for one that keeps the time between messages; undefined for one that does not. */
  readonly baseAt: number | undefined
  readonly state: ReplayState
  /** How long it ran, until `since`. */
  readonly elapsedMs: number
  /** Since when it runs; 0 while it does not. */
  readonly since: number
  readonly createdAt: number
}

/** Most replays of a stream. */
export const mostReplays = 100

/** Replays, each known by its stream and group. */
export interface ReplayStorage {
  /** Adds one; false when the group has one. Those of an earlier stream of the name are dropped. Rejects with QUOTA_EXCEEDED. */
  add(scope: Scope, replay: Pick<ReplayRecord, 'stream' | 'number' | 'group' | 'ranges' | 'baseAt'>, now: number): Promise<boolean>
  get(scope: Scope, stream: string, group: string): Promise<ReplayRecord | undefined>
  /** By group. */
  list(scope: Scope, stream: string): Promise<readonly ReplayRecord[]>
  /** Changes the state of one that is in one of the states `from`; returns it as it is then. */
  change(
    scope: Scope,
    stream: string,
    group: string,
    change: { readonly from: readonly ReplayState[]; readonly to: ReplayState },
    now: number,
  ): Promise<ReplayRecord | undefined>
  /** False when there was none. */
  delete(scope: Scope, stream: string, group: string): Promise<boolean>
}
