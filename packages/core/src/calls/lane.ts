import type { Clock } from '../clock.ts'
import { AbortError, InternalError, type MillraceError, noAnswer } from '../errors/errors.ts'
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
  value(result: Result): Value | Promise<Value>
  /** Bounds of one batch. */
  readonly maxItems: number
  readonly maxBytes: number
  /** Requests under way at once: few, so that batches grow while the server is busy. */
  readonly maxInFlight: number
  /** A request that takes longer than so many milliseconds is not waited for: others leave meanwhile. Absent: it is, however long it takes. */
  readonly patienceMs?: number | undefined
}

/** A caller's item on its way. */
interface Pending<Item, Value> {
  readonly item: Item
  readonly bytes: number
  readonly deadline: number
  readonly resolve: (value: Value | Promise<Value>) => void
  readonly reject: (error: MillraceError) => void
  readonly signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
  /** Why it waits again, when it was refused for lack of room. */
  refusal: MillraceError | undefined
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
  /** Everything that waits or is under way, in the order of the calls, which is that of their deadlines. */
  readonly #open = new Set<Pending<Item, Value>>()
  /** What waits, in the same order. */
  #waiting = new Set<Pending<Item, Value>>()
  #inFlight = 0
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
        item,
        bytes,
        deadline,
        resolve,
        reject,
        signal,
        onAbort: undefined,
        refusal: undefined,
      }
      if (signal) {
        if (signal.aborted) return reject(new AbortError(signal.reason))
        pending.onAbort = () => this.#fail(pending, new AbortError(signal.reason))
        signal.addEventListener('abort', pending.onAbort)
      }
      this.bytes += bytes
      this.#open.add(pending)
      this.#waiting.add(pending)
      this.#watchDeadline(deadline)
      this.#schedule()
    })
  }

  /** Fails everything that waits or is under way. */
  close(error: MillraceError): void {
    for (const pending of this.#open) this.#fail(pending, error)
    this.#checkIdle()
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopPause || this.#inFlight >= this.#maxInFlight) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      while (!this.#stopPause && this.#waiting.size > 0 && this.#inFlight < this.#maxInFlight) void this.#send(this.#take())
      this.#checkIdle()
    })
  }

  get #maxInFlight(): number {
    return this.#limit < this.#options.maxItems ? 1 : this.#options.maxInFlight
  }

  /** The next batch: what waits, spread over the requests that may be made now. */
  #take(): Pending<Item, Value>[] {
    const share = Math.ceil(this.#waiting.size / (this.#maxInFlight - this.#inFlight))
    const limit = Math.min(this.#limit, Math.max(share, worthwhile))
    const batch: Pending<Item, Value>[] = []
    let bytes = 0
    for (const next of this.#waiting) {
      bytes += next.bytes
      if (batch.length === limit || (batch.length > 0 && bytes > this.#options.maxBytes)) break
      batch.push(next)
      this.#waiting.delete(next)
    }
    return batch
  }

  async #send(batch: readonly Pending<Item, Value>[]): Promise<void> {
    const { send, clock, patienceMs } = this.#options
    let flies = true
    const land = (): void => {
      if (flies) this.#inFlight--
      flies = false
      this.#schedule()
    }
    this.#inFlight++
    const cancel = patienceMs === undefined ? undefined : clock.timer(patienceMs, land)
    try {
      const timeoutMs = Math.max(batch.at(-1)!.deadline - clock.now(), 1)
      const results = await send(
        batch.map((pending) => pending.item),
        timeoutMs,
      )
      if (results.length !== batch.length) throw new InternalError(missingField('a result for each item'))
      this.#deliver(batch, results)
    } catch (thrown) {
      const error = errorFrom(thrown)
      // What the time ran out over says more than that it did.
      const late = error.code === 'DEADLINE_EXCEEDED'
      for (const pending of batch) this.#fail(pending, (late && pending.refusal) || error)
    }
    cancel?.()
    land()
  }

  #deliver(batch: readonly Pending<Item, Value>[], results: readonly Result[]): void {
    const refused = new Set<Pending<Item, Value>>()
    let wait = 0
    for (const [i, pending] of batch.entries()) {
      if (!this.#open.has(pending)) continue
      const result = results[i] as Result
      const error = this.#options.refusal(result)
      if (!error) {
        this.#finish(pending)
        pending.resolve(this.#options.value(result))
      } else if (isLackOfRoom(error)) {
        pending.refusal = error
        refused.add(pending)
        wait = Math.max(wait, error.details.retryAfterMs ?? 0)
      } else this.#fail(pending, error)
    }
    if (refused.size > 0) this.#waitForRoom(refused, batch.length - refused.size, wait)
    else this.#limit = Math.min(this.#limit * 2, this.#options.maxItems)
  }

  /** Puts refused items back where they were and pauses. Later batches are about as large as what there was room for. */
  #waitForRoom(refused: ReadonlySet<Pending<Item, Value>>, accepted: number, wait: number): void {
    this.#waiting = new Set([...this.#open].filter((pending) => refused.has(pending) || this.#waiting.has(pending)))
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
    for (const pending of this.#open) {
      if (pending.deadline > now) {
        this.#watchDeadline(pending.deadline)
        return
      }
      this.#fail(pending, pending.refusal ?? noAnswer(this.#timeoutMs))
    }
    this.#checkIdle()
  }

  #fail(pending: Pending<Item, Value>, error: MillraceError): void {
    if (this.#finish(pending)) pending.reject(error)
  }

  /** Lets go of an item; false when that has happened before. */
  #finish(pending: Pending<Item, Value>): boolean {
    if (!this.#open.delete(pending)) return false
    this.#waiting.delete(pending)
    this.bytes -= pending.bytes
    if (pending.onAbort) pending.signal?.removeEventListener('abort', pending.onAbort)
    return true
  }

  /** Lets go of the timers when nothing is left. */
  #checkIdle(): void {
    if (this.#open.size > 0 || this.#inFlight > 0) return
    this.#stopTimer?.()
    this.#stopTimer = undefined
    this.#stopPause?.()
    this.#stopPause = undefined
    this.#onIdle()
  }
}
