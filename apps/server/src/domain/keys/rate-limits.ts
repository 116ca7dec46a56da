import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { KeyRecord } from '../../store/ports.ts'

/** How many keys are watched at a time at most; beyond, those that rest are forgotten first. */
const mostBuckets = 10_000

/** What is left of a key's limit. */
export interface RateStatus {
  /** Calls per second, and at once. */
  readonly limit: number
  /** Calls that are taken at once now. */
  readonly remaining: number
  /** Milliseconds until `remaining` is `limit` again when nobody calls. */
  readonly resetMs: number
}

/** The fields of a key that count. */
type LimitedKey = Pick<KeyRecord, 'tenant' | 'seq' | 'rateLimit' | 'hint'>

/** Thousandths of a call, so that a second's worth is added exactly, `rateLimit` of them each millisecond. */
interface Bucket {
  thousandths: number
  /** When they were counted. */
  at: number
}

/** Counts the calls of keys that have a limit, on this server: a bucket for each that holds one second's worth of calls. */
export class RateLimits {
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What is left; undefined for a key without a limit. */
  status(key: LimitedKey): RateStatus | undefined {
    return key.rateLimit === 0 ? undefined : statusOf(key.rateLimit, this.#bucket(key).thousandths)
  }

  /**
   * Counts a call of a key that has a limit.
   *
   * @param told - is told what is left, also when the call is refused.
   * @throws RATE_LIMITED when nothing is left.
   */
  take(key: LimitedKey, told?: (status: RateStatus) => void): void {
    const bucket = this.#bucket(key)
    const isRefused = bucket.thousandths < 1000
    if (!isRefused) bucket.thousandths -= 1000
    told?.(statusOf(key.rateLimit, bucket.thousandths))
    if (!isRefused) return
    const calls = key.rateLimit === 1 ? 'one call' : `${key.rateLimit} calls`
    throw new MillraceError('RATE_LIMITED', `The key ${key.hint}… may make ${calls} per second. Call less often, or put calls together.`, {
      retryAfterMs: Math.ceil((1000 - bucket.thousandths) / key.rateLimit),
    })
  }

  /** The key's bucket, with what came in since it was looked at. */
  #bucket({ tenant, seq, rateLimit }: LimitedKey): Bucket {
    const id = `${tenant}/${seq}`
    const now = this.#clock.now()
    const full = rateLimit * 1000
    let bucket = this.#buckets.get(id)
    if (!bucket) {
      if (this.#buckets.size >= mostBuckets) this.#forget(now)
      bucket = { thousandths: full, at: now }
      this.#buckets.set(id, bucket)
    }
    // A clock that was set back adds nothing, and does not stop the bucket from filling either.
    bucket.thousandths = Math.min(full, bucket.thousandths + Math.max(0, now - bucket.at) * rateLimit)
    bucket.at = now
    return bucket
  }

  /** Makes room: a bucket that nobody took from for a second is full, as is one that is forgotten. */
  #forget(now: number): void {
    for (const [id, { at }] of this.#buckets) if (now - at >= 1000) this.#buckets.delete(id)
    if (this.#buckets.size >= mostBuckets) this.#buckets.delete(this.#buckets.keys().next().value!)
  }
}

function statusOf(limit: number, thousandths: number): RateStatus {
  return { limit, remaining: Math.floor(thousandths / 1000), resetMs: Math.ceil((limit * 1000 - thousandths) / limit) }
}
