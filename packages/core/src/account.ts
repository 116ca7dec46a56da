import type { ClientContext } from './context.ts'
import type { CallOptions } from './options.ts'

/** What is left of the rate limit of the client's key. */
export interface RateLimit {
  /** Calls per second, and at once. `Infinity` for a key without a limit. */
  readonly limit: number
  /** Calls that are taken at once now. `Infinity` for a key without a limit. */
  readonly remaining: number
  /** When `remaining` is `limit` again if nobody calls; absent for a key without a limit. */
  readonly resetAt?: Date
}

/** What the tenant may have of something, and has. */
export interface QuotaUsage {
  /** How many there are. */
  readonly used: number
  /** How many there may be; one more fails with `QuotaExceededError`. */
  readonly limit: number
}

/** The limits of the client's key and its tenant. */
export class Account {
  readonly #context: ClientContext

  /** @internal Use `mr.account`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** What is left of the rate limit of the client's key, on the server that answers. This is a call too, and counts. */
  async rateLimit(call?: CallOptions): Promise<RateLimit> {
    const { limit, remaining, resetAt } = await this.#context.safe('AccountService/GetRateLimit', {}, call)
    return limit === 0 ? { limit: Infinity, remaining: Infinity } : { limit, remaining, ...(resetAt && { resetAt }) }
  }

  /**
   * What the tenant may have, and has, by type: `queues`, `buckets`, and of a server that stores in SQLite `streams` and `kv_stores`. The types
   * are those of `QuotaExceededError.quotaType`.
   *
   * @throws PermissionDeniedError for a token that is limited to resources.
   */
  async quotas(call?: CallOptions): Promise<Readonly<Record<string, QuotaUsage>>> {
    const { quotas } = await this.#context.safe('AccountService/GetQuotas', {}, call)
    return Object.fromEntries(quotas.map(({ type, current, limit }) => [type, { used: current, limit }]))
  }
}
