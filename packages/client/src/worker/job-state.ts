import { decodePayload, toStateValue } from '@millrace/core/adapter'
import type { Job, Settlement_Complete } from '@millrace/protocol'

/** What a completion says of the state. */
export type StateChange = Pick<Settlement_Complete, 'state' | 'deleteState'>

/** It stays as it is. */
export const unchanged: StateChange = { state: undefined, deleteState: false }

/** The state of a stateful task, as its handler sees and changes it. */
export class JobState {
  readonly #wire: Job
  #value: unknown
  /** A state that was never looked at is as it was. */
  #known = false

  constructor(wire: Job) {
    this.#wire = wire
  }

  get(): unknown {
    if (!this.#known) {
      const { state } = this.#wire
      this.#value = state && decodePayload('state', state.data, state.contentType)
      this.#known = true
    }
    return this.#value
  }

  /** @throws TypeError when the job works on no state. */
  set(value: unknown): void {
    if (this.#wire.stateKey === '') throw new TypeError(`Job ${this.#wire.jobId} is not stateful: submit it with a stateKey.`)
    this.#value = value
    this.#known = true
  }

  /** What completing the job says of it: the new state when it was assigned or changed. @throws ValidationError when JSON cannot hold it. */
  change(): StateChange {
    const { state: before, stateKey } = this.#wire
    if (!this.#known || stateKey === '') return unchanged
    if (this.#value === undefined) return before ? { state: undefined, deleteState: true } : unchanged
    const state = toStateValue('state', this.#value)
    const same = before !== undefined && before.contentType === state.contentType && sameBytes(before.data, state.data)
    return same ? unchanged : { state, deleteState: false }
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
