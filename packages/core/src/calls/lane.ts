import type { Clock } from '../clock.ts'
import { AbortError, InternalError, type MillraceError, TimeoutError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import { missingField } from '../wire.ts'
import { isLackOfRoom } from './caller.ts'

/** What a lane is told about the calls it carries. */
export interface LaneOptions<Item, Result, Value> {
  readonly clock: Clock
  /** Sends items together; resolves with a result for each, in order. Must not reject for what concerns one item alone. */
  send(items: readonly Item[], timeoutMs: number): Promise<readonly Result[]>
  /** Why an item was refused, when it was. */
  refusal(result: Result): MillraceError | undefined
  /** What the item's caller gets. */
  value(result: Result): Value
  /** Bounds of one batch. */
  readonly maxItems: number
  readonly maxBytes: number
  /** Requests under way at once: few, so that batches grow while the server is busy. */
  readonly maxInFlight: number
}

/** A caller's item on its way. */
interface Pending<Item, Value> {
  readonly order: number
  readonly item: Item
  readonly bytes: number
  readonly deadline: number
  readonly resolve: (value: Value) => void
  readonly reject: (error: MillraceError) => void
  readonly signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
  /** Why it waits again, when it was refused for lack of room. */
  refusal: MillraceError | undefined
  done: boolean
}

/** Fewest items worth a further request while others are under way. */
const worthwhile = 128

/**
 * Lets calls of one kind, with one timeout, travel together. The first leaves at the end of the microtask queue; while
 * `maxInFlight` requests are under way, further calls gather. Calls refused for lack of room wait and go again, in
 * order, until their time is over. One timer serves all of them.
 */
export class Lane<Item, Result, Value> {
  readonly #options: LaneOptions<Item, Result, Value>
  readonly #timeoutMs: number
  readonly #onIdle: () => void
  #waiting: Pending<Item, Value>[] = []
  #head = 0
  #order = 0
  readonly #inFlight = new Set<readonly Pending<Item, Value>[]>()
  #scheduled = false
  /** Items a batch may have: less than the bound after the server had no room. */
  #limit: number
  #stopPause: (() => void) | undefined
  #stopTimer: (() => void) | undefined
  /** Encoded size of everything that waits or is under way. */
  bytes = 0

  constructor(timeoutMs: number, options: LaneOptions<Item, Result, Value>, onIdle: () => void) {
    this.#timeoutMs = timeoutMs
    this.#options = options
    this.#onIdle = onIdle
    this.#limit = options.maxItems
  }

  /** Sends an item with the next batch. */
  add(item: Item, bytes: number, signal: AbortSignal | undefined): Promise<Value> {
    return new Promise((resolve, reject) => {
      const deadline = this.#options.clock.now() + this.#timeoutMs
      const pending: Pending<Item, Value> = {
        order: this.#order++,
        item,
        bytes,
        deadline,
        resolve,
        reject,
        signal,
        onAbort: undefined,
        refusal: undefined,
        done: false,
      }
      if (signal) {
        if (signal.aborted) return reject(new AbortError(signal.reason))
        pending.onAbort = () => this.#fail(pending, new AbortError(signal.reason))
        signal.addEventListener('abort', pending.onAbort)
      }
      this.bytes += bytes
      this.#waiting.push(pending)
      this.#watchDeadline(deadline)
      this.#schedule()
    })
  }

  /** Fails everything that waits or is under way. */
  close(error: MillraceError): void {
    const pending = [...this.#inFlight].flat().concat(this.#waiting.slice(this.#head))
    this.#waiting = []
    this.#head = 0
    for (const each of pending) this.#fail(each, error)
    this.#checkIdle()
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopPause || this.#inFlight.size >= this.#maxInFlight) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      while (!this.#stopPause && this.#inFlight.size < this.#maxInFlight) {
        const batch = this.#take()
        if (batch.length === 0) break
        void this.#send(batch)
      }
      this.#checkIdle()
    })
  }

  get #maxInFlight(): number {
    return this.#limit < this.#options.maxItems ? 1 : this.#options.maxInFlight
  }

  /** The next batch: what waits, spread over the requests that may be made now. */
  #take(): Pending<Item, Value>[] {
    const waiting = this.#waiting
    const share = Math.ceil((waiting.length - this.#head) / (this.#maxInFlight - this.#inFlight.size))
    const limit = Math.min(this.#limit, Math.max(share, worthwhile))
    const batch: Pending<Item, Value>[] = []
    let bytes = 0
    while (this.#head < waiting.length && batch.length < limit) {
      const next = waiting[this.#head]!
      if (!next.done) {
        bytes += next.bytes
        if (batch.length > 0 && bytes > this.#options.maxBytes) break
        batch.push(next)
      }
      this.#head++
    }
    if (this.#head === waiting.length) {
      this.#waiting = []
      this.#head = 0
    }
    return batch
  }

  async #send(batch: readonly Pending<Item, Value>[]): Promise<void> {
    this.#inFlight.add(batch)
    try {
      const { send, clock } = this.#options
      const timeoutMs = Math.max(batch.at(-1)!.deadline - clock.now(), 1)
      const results = await send(
        batch.map((pending) => pending.item),
        timeoutMs,
      )
      if (results.length !== batch.length) throw new InternalError(missingField('a result for each item'))
      this.#inFlight.delete(batch)
      this.#deliver(batch, results)
    } catch (thrown) {
      this.#inFlight.delete(batch)
      const error = errorFrom(thrown)
      for (const pending of batch) this.#fail(pending, error)
    }
    if (this.#head < this.#waiting.length) this.#schedule()
    else this.#checkIdle()
  }

  #deliver(batch: readonly Pending<Item, Value>[], results: readonly Result[]): void {
    const refused: Pending<Item, Value>[] = []
    let wait = 0
    for (let i = 0; i < batch.length; i++) {
      const pending = batch[i]!
      if (pending.done) continue
      const result = results[i] as Result
      const error = this.#options.refusal(result)
      if (!error) {
        this.#finish(pending)
        pending.resolve(this.#options.value(result))
      } else if (isLackOfRoom(error)) {
        pending.refusal = error
        refused.push(pending)
        wait = Math.max(wait, error.details.retryAfterMs ?? 0)
      } else this.#fail(pending, error)
    }
    if (refused.length > 0) this.#waitForRoom(refused, batch.length - refused.length, wait)
    else this.#limit = Math.min(this.#limit * 2, this.#options.maxItems)
  }

  /** Puts refused items back where they were and pauses. Later batches are about as large as what there was room for. */
  #waitForRoom(refused: readonly Pending<Item, Value>[], accepted: number, wait: number): void {
    this.#waiting = [...refused, ...this.#waiting.slice(this.#head)].sort((a, b) => a.order - b.order)
    this.#head = 0
    this.#limit = Math.max(1, Math.min(this.#limit - 1, accepted))
    this.#stopPause?.()
    // Spread, so that clients that were refused together do not come back together.
    this.#stopPause = this.#options.clock.timer(wait * (1 + Math.random() / 4), () => {
      this.#stopPause = undefined
      this.#schedule()
    })
  }

  /** Sets the timer for the oldest item: later ones have later deadlines. */
  #watchDeadline(deadline: number): void {
    if (this.#stopTimer) return
    this.#stopTimer = this.#options.clock.timer(deadline - this.#options.clock.now(), () => {
      this.#stopTimer = undefined
      this.#expire()
    })
  }

  #expire(): void {
    const now = this.#options.clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const batch of [...this.#inFlight, this.#waiting.slice(this.#head)]) {
      for (const pending of batch) {
        if (pending.done) continue
        if (pending.deadline > now) {
          next = Math.min(next, pending.deadline)
          break
        }
        this.#fail(pending, pending.refusal ?? timeoutError(this.#timeoutMs))
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.#watchDeadline(next)
    else this.#checkIdle()
  }

  #fail(pending: Pending<Item, Value>, error: MillraceError): void {
    if (pending.done) return
    this.#finish(pending)
    pending.reject(error)
  }

  #finish(pending: Pending<Item, Value>): void {
    pending.done = true
    this.bytes -= pending.bytes
    if (pending.onAbort) pending.signal?.removeEventListener('abort', pending.onAbort)
  }

  /** Lets go of the timers when nothing is left. */
  #checkIdle(): void {
    while (this.#head < this.#waiting.length && this.#waiting[this.#head]!.done) this.#head++
    if (this.#head < this.#waiting.length || this.#inFlight.size > 0) return
    this.#stopTimer?.()
    this.#stopTimer = undefined
    this.#stopPause?.()
    this.#stopPause = undefined
    this.#onIdle()
  }
}

function timeoutError(timeoutMs: number): TimeoutError {
  return new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: `There was no answer within ${timeoutMs} ms.` })
}
