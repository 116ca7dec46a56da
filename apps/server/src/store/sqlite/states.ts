import { deleteState, listStates, readState } from '../flow/states.ts'
import type { Scope, StateRecord, StateStore } from '../ports.ts'
import type { Context } from './context.ts'

/** What stateful jobs keep between executions. */
export class SqliteStates implements StateStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  get(scope: Scope, key: string, now: number): Promise<StateRecord | undefined> {
    return this.#context.read(() => this.#context.flow.run(readState(scope, key, now)))
  }

  list(scope: Scope, prefix: string, page: { limit: number; after: string }, now: number): Promise<readonly StateRecord[]> {
    return this.#context.read(() => this.#context.flow.run(listStates(scope, prefix, page, now)))
  }

  delete(scope: Scope, key: string, now: number): Promise<boolean> {
    return this.#context.writer.mutate(() => this.#context.flow.run(deleteState(scope, key, now)))
  }
}
