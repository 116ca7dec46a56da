import { keepProof, readProof } from '../flow/proofs.ts'
import type { ProofStore, Scope, Seq } from '../ports.ts'
import type { Context } from './context.ts'

/** What workers prove of where they run. */
export class SqliteProofs implements ProofStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  keep(scope: Scope, seq: Seq, token: number, data: Uint8Array, now: number): Promise<void> {
    return this.#context.writer.mutate(() => this.#context.flow.run(keepProof(scope, seq, token, data, now)))
  }

  get(scope: Scope, seq: Seq): Promise<Uint8Array | undefined> {
    return this.#context.read(() => this.#context.flow.run(readProof(scope, seq)))
  }
}
