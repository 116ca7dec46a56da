import type * as wire from '@millrace/protocol'
import type { ClientContext } from './context.ts'
import { NotFoundError } from './errors/errors.ts'
import type { CallOptions } from './options.ts'
import { createList, type List } from './page.ts'
import { decodePayload } from './payload.ts'
import { toInt, toText } from './wire.ts'

/** What stateful tasks with one key keep between executions, without its value. */
export interface StateInfo {
  /** The tasks' `stateKey`. */
  readonly key: string
  /** Counts the changes of the value, from 1. */
  readonly revision: number
  /** Bytes of the value. */
  readonly size: number
  /** When the value last changed. */
  readonly updatedAt: Date
  /** When it is forgotten, unless another task completes before; absent when it is kept for ever. */
  readonly expiresAt?: Date
}

/**
 * What stateful tasks with one key keep between executions.
 *
 * @typeParam S - its value.
 */
export interface State<S = unknown> extends StateInfo {
  /** What the latest completed task left. */
  readonly value: S
}

/** Which states to list. */
export interface ListStatesOptions extends CallOptions {
  /** Keys that begin with this. */
  readonly prefix?: string
  /** States on one page. 1 to 1000, default 100. */
  readonly limit?: number
  /** Where to begin: `nextCursor` of a page. */
  readonly cursor?: string
}

/** The states of the namespace's stateful tasks. Tasks alone write them, each when it completes. */
export class States {
  readonly #context: ClientContext

  /** @internal Use `mr.states`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Reads a state; undefined when there is none. */
  async get<S = unknown>(key: string, call?: CallOptions): Promise<State<S> | undefined> {
    try {
      const { state } = await this.#context.safe('StateService/GetState', { key: toText('key', key) }, call)
      return state && { ...fromState(state), value: decodePayload('value', state.data, state.contentType) as S }
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  /** Lists states by key, without their values. */
  list(options: ListStatesOptions = {}): List<StateInfo> {
    const { prefix, limit, cursor } = options
    return createList(async (from) => {
      const request = { prefix: toText('prefix', prefix), limit: toInt('limit', limit), cursor: from }
      const { states, nextCursor } = await this.#context.safe('StateService/ListStates', request, options)
      return { items: states.map(fromState), nextCursor }
    }, cursor)
  }

  /**
   * Forgets a state: the next task with its key begins with its own initial state. A task that runs now may store it again.
   *
   * @returns false when there was none.
   */
  async delete(key: string, call?: CallOptions): Promise<boolean> {
    return (await this.#context.unsafe('StateService/DeleteState', { key: toText('key', key) }, call)).deleted
  }
}

function fromState({ key, revision, size, updatedAt, expiresAt }: wire.State): StateInfo {
  return { key, revision, size, updatedAt: updatedAt ?? new Date(0), ...(expiresAt && { expiresAt }) }
}
