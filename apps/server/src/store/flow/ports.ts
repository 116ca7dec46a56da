import type { Scope } from '../ports.ts'

/** Bytes and what they are; '' means JSON. */
export interface Content {
  readonly data: Uint8Array
  readonly contentType: string
}

/** What makes a job stateful: it runs alone, and in order of submission, among those with its key in its namespace. */
export interface Stateful {
  readonly key: string
  /** The state to begin with when there is none. */
  readonly initial?: Content
  /** How long the state is kept after the latest completion; 0 means for ever. */
  readonly ttlMs: number
}

/** What stateful jobs with one key keep between executions. */
export interface StateRecord {
  readonly key: string
  /** Filled by `get` alone. */
  readonly content?: Content
  readonly size: number
  /** Counts the changes of the content. */
  readonly revision: number
  readonly updatedAt: number
  readonly expiresAt?: number
}

export interface StateStore {
  get(scope: Scope, key: string, now: number): Promise<StateRecord | undefined>
  /** By key, those after `after`. */
  list(scope: Scope, prefix: string, page: { readonly limit: number; readonly after: string }, now: number): Promise<readonly StateRecord[]>
  /** False when there was none. */
  delete(scope: Scope, key: string, now: number): Promise<boolean>
}
