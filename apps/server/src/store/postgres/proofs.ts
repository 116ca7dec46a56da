import { keepProof, readProof } from '../flow/proofs.ts'
import type { ProofStore, Scope, Seq } from '../ports.ts'
import type { Context } from './context.ts'
import { runAlone } from './flow.ts'

/** What workers prove of where they run. */
export class PostgresProofs implements ProofStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  keep(scope: Scope, seq: Seq, token: number, data: Uint8Array, now: number): Promise<void> {
    return runAlone(this.#context, keepProof(scope, seq, token, data, now))
  }

  get(scope: Scope, seq: Seq): Promise<Uint8Array | undefined> {
    return runAlone(this.#context, readProof(scope, seq))
  }
}
