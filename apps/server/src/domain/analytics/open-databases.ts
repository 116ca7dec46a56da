import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { DatabaseRef } from './backend.ts'

/** An open database. */
interface Open {
  readonly ref: DatabaseRef
  /** Calls that use it. */
  users: number
  /** Cancels its closing. */
  cancel: (() => void) | undefined
  /** While it is closed, its end. */
  closing: Promise<void> | undefined
}

/** Which databases are open: those in use and those used a while ago, and never more than a number. */
export class OpenDatabases {
  readonly #clock: Clock
  readonly #most: number
  readonly #idleMs: number
  readonly #release: (ref: DatabaseRef) => Promise<void>
  readonly #onError: (error: unknown) => void
  /** In the order of their last use. */
  readonly #open = new Map<string, Open>()

  constructor(options: {
    readonly clock: Clock
    /** Open at a time. */
    readonly most: number
    /** How long one that nobody uses stays open, in milliseconds. */
    readonly idleMs: number
    readonly release: (ref: DatabaseRef) => Promise<void>
    readonly onError: (error: unknown) => void
  }) {
    this.#clock = options.clock
    this.#most = options.most
    this.#idleMs = options.idleMs
    this.#release = options.release
    this.#onError = options.onError
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size
  }

  /**
   * Keeps a database open while it is used.
   *
   * @returns what ends the use.
   * @throws UNAVAILABLE when too many are in use.
   */
  async use(ref: DatabaseRef): Promise<() => void> {
    const key = JSON.stringify([ref.scope.tenant, ref.scope.namespace, ref.name])
    let open: Open | undefined
    for (;;) {
      open = this.#open.get(key)
      if (open?.closing !== undefined) await open.closing
      else if (open || this.#open.size < this.#most) break
      else await this.#closeOne()
    }
    open ??= { ref, users: 0, cancel: undefined, closing: undefined }
    const used = open
    used.cancel?.()
    used.cancel = undefined
    used.users++
    this.#open.delete(key)
    this.#open.set(key, used)
    return () => {
      used.users--
      if (used.users === 0) used.cancel = this.#clock.timer(this.#idleMs, () => void this.#close(key, used).catch(this.#onError))
    }
  }

  /** Ends waiting. */
  close(): void {
    for (const { cancel } of this.#open.values()) cancel?.()
  }

  /** Closes the one that was used longest ago. */
  async #closeOne(): Promise<void> {
    const found = [...this.#open].find(([, { users }]) => users === 0)
    if (found) return this.#close(...found)
    const message = `The server has ${this.#most} databases in use, as many as it may (--analytics-open). Try again.`
    throw new MillraceError('UNAVAILABLE', message, { retryAfterMs: 1000 })
  }

  #close(key: string, open: Open): Promise<void> {
    open.cancel?.()
    open.closing ??= this.#release(open.ref).finally(() => this.#open.delete(key))
    return open.closing
  }
}
