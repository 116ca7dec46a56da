import { type MillraceError, QuotaExceededError } from '../errors/errors.ts'
import { Lane, type LaneOptions } from './lane.ts'

/** How calls of one kind travel together. */
export interface CoalescerOptions<Item, Result, Value>
  extends Omit<LaneOptions<Item, Result, Value>, 'send' | 'maxItems' | 'maxBytes' | 'maxInFlight'> {
  /** Sends items of one group; resolves with a result for each, in order. */
  send(group: string, items: readonly Item[], timeoutMs: number): Promise<readonly Result[]>
  /** Requests of a lane under way at once. 1 keeps their items in order. Default 4. */
  readonly maxInFlight?: number
  /** Items of one request. Default 2000. */
  readonly maxItems?: number
}

const defaultItems = 2000
const maxBytes = 4 << 20
const defaultInFlight = 4
/** Encoded size of what one client holds before it refuses more. */
const maxHeldBytes = 256 << 20

/** Lets concurrent calls travel together: one lane for each group and timeout, for as long as there are calls for it. */
export class Coalescer<Item, Result, Value> {
  readonly #options: CoalescerOptions<Item, Result, Value>
  readonly #lanes = new Map<string, Lane<Item, Result, Value>>()
  #closed: MillraceError | undefined

  constructor(options: CoalescerOptions<Item, Result, Value>) {
    this.#options = options
  }

  /**
   * Makes a call.
   *
   * @param group - calls of different groups never share a request.
   * @param bytes - about how large the item is when it is encoded.
   */
  add(group: string, item: Item, bytes: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<Value> {
    if (this.#closed) return Promise.reject(this.#closed)
    const lane = this.#lanes.get(`${timeoutMs} ${group}`) ?? this.#open(group, timeoutMs)
    if (lane.bytes + bytes > maxHeldBytes) return Promise.reject(tooMuchHeld(lane.bytes))
    return lane.add(item, bytes, signal)
  }

  /** Fails every call, and those to come. */
  close(error: MillraceError): void {
    this.#closed = error
    for (const lane of this.#lanes.values()) lane.close(error)
  }

  #open(group: string, timeoutMs: number): Lane<Item, Result, Value> {
    const { send, maxInFlight = defaultInFlight, maxItems = defaultItems, ...options } = this.#options
    const key = `${timeoutMs} ${group}`
    const lane = new Lane<Item, Result, Value>(
      timeoutMs,
      { ...options, send: (items, remainingMs) => send(group, items, remainingMs), maxItems, maxBytes, maxInFlight },
      () => this.#lanes.delete(key),
    )
    this.#lanes.set(key, lane)
    return lane
  }
}

function tooMuchHeld(current: number): QuotaExceededError {
  return new QuotaExceededError({
    reason: 'QUOTA_EXCEEDED',
    message: `This client holds ${current} bytes of unanswered calls. Await some before making more.`,
    quota: { type: 'client.buffer', current, limit: maxHeldBytes },
  })
}
