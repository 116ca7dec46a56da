import type { Settlement, SettleResult } from '@millrace/protocol'
import type { HeldJob } from './held-job.ts'

/** A settlement on its way to the server. */
export interface Outgoing {
  readonly job: HeldJob
  readonly settlement: Settlement
  /** About how large it is when it is encoded. */
  readonly bytes: number
  /** When it was handed over. */
  readonly sentAt: number
  /** True when it may have reached the server before, over a connection that broke. */
  resent: boolean
  /** What the handler returned or threw, for events. */
  readonly outcome?: unknown
  /** Told when the server answers, beside the outbox's owner. */
  readonly onAnswer?: (refusal: SettleResult | undefined) => void
}

/** What an outbox needs. */
export interface OutboxOptions {
  /** Sends a batch; false when there is no connection. */
  send(sequence: number, settlements: Settlement[]): boolean
  /** A settlement is durable, or refused. */
  answered(outgoing: Outgoing, refusal: SettleResult | undefined): void
}

const maxItems = 5000
const maxBytes = 4 << 20
/** Batches without an answer: few, so that batches grow while the server is busy. */
const maxUnanswered = 8

/** Settlements that the server has not answered yet: sent in batches, and again over a new connection after a break. */
export class Outbox {
  readonly #options: OutboxOptions
  #waiting: Outgoing[] = []
  readonly #unanswered = new Map<number, Outgoing[]>()
  #sequence = 0
  #scheduled = false
  #onEmpty: (() => void)[] = []

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Settlements without an answer. */
  get size(): number {
    let size = this.#waiting.length
    for (const batch of this.#unanswered.values()) size += batch.length
    return size
  }

  /** Sends a settlement with the next batch: at the end of this turn of the event loop. */
  add(outgoing: Outgoing): void {
    this.#waiting.push(outgoing)
    this.schedule()
  }

  /** Sends what waits, at the end of this turn. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  /** Sends what waits now. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#unanswered.size < maxUnanswered) {
      const batch = this.#waiting.splice(0, this.#countNext())
      const sequence = ++this.#sequence
      this.#unanswered.set(sequence, batch)
      const sent = this.#options.send(
        sequence,
        batch.map((outgoing) => outgoing.settlement),
      )
      if (sent) continue
      this.#unanswered.delete(sequence)
      this.#waiting = [...batch, ...this.#waiting]
      return
    }
  }

  /** The server answered a batch. */
  answer(sequence: number, refused: readonly SettleResult[]): void {
    const batch = this.#unanswered.get(sequence)
    if (!batch) return
    this.#unanswered.delete(sequence)
    const refusals = refused.length > 0 ? new Map(refused.map((result) => [result.jobId, result])) : undefined
    for (const outgoing of batch) {
      const refusal = refusals?.get(outgoing.settlement.jobId)
      this.#options.answered(outgoing, refusal)
      outgoing.onAnswer?.(refusal)
    }
    if (this.#waiting.length > 0) this.flush()
    if (this.#waiting.length > 0 || this.#unanswered.size > 0) return
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** The connection broke: what has no answer is sent again, in order, when the next one stands. */
  requeue(): void {
    const again = [...this.#unanswered.values()].flat()
    this.#unanswered.clear()
    for (const outgoing of again) outgoing.resent = true
    this.#waiting = [...again, ...this.#waiting]
  }

  /** Resolves when every settlement is answered. */
  empty(): Promise<void> {
    if (this.#waiting.length === 0 && this.#unanswered.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onEmpty.push(resolve))
  }

  #countNext(): number {
    let bytes = 0
    let count = 0
    for (; count < this.#waiting.length && count < maxItems; count++) {
      bytes += this.#waiting[count]!.bytes
      if (count > 0 && bytes > maxBytes) break
    }
    return count
  }
}
