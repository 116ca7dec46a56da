import { deleteState, listStates, readState } from '../flow/states.ts'
import type { Scope, StateRecord, StateStore } from '../ports.ts'
import type { Context } from './context.ts'
import { runAlone } from './flow.ts'

/** What stateful jobs keep between executions. */
export class PostgresStates implements StateStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  get(scope: Scope, key: string, now: number): Promise<StateRecord | undefined> {
    return runAlone(this.#context, readState(scope, key, now))
  }

  list(scope: Scope, prefix: string, page: { limit: number; after: string }, now: number): Promise<readonly StateRecord[]> {
    return runAlone(this.#context, listStates(scope, prefix, page, now))
  }

  delete(scope: Scope, key: string, now: number): Promise<boolean> {
    return runAlone(this.#context, deleteState(scope, key, now))
  }
}
