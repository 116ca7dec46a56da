import type { Keyring } from '../domain/keys/keyring.ts'
import type { Principal } from '../domain/keys/principal.ts'
import { MillraceError, ServerStopping } from '../errors.ts'

/** Ends long calls when their time is over: the caller has gone, the key has ended, or the server stops. Knows when all calls are over. */
export class CallLifetimes {
  readonly #keyring: Keyring
  readonly #open = new Set<(reason: unknown) => void>()
  #draining = false
  #underWay = 0
  #allOver: (() => void) | undefined

  /** @param keyring - tells when keys end. */
  constructor(keyring: Keyring) {
    this.#keyring = keyring
  }

  /**
   * Begins to watch over a call.
   *
   * @param caller - aborts when the caller has gone.
   * @returns the call's signal, and what to call when the call is over.
   */
  open(principal: Principal, caller: AbortSignal): { readonly signal: AbortSignal; readonly close: () => void } {
    const controller = new AbortController()
    const end = (reason: unknown) => controller.abort(reason)
    const gone = () => end(caller.reason)
    caller.addEventListener('abort', gone)
    if (caller.aborted) gone()
    this.#open.add(end)
    if (this.#draining) end(new ServerStopping())
    const forget = this.#keyring.onEnd(principal, () => {
      const reason = principal.isToken ? 'TOKEN_EXPIRED' : 'UNAUTHENTICATED'
      end(new MillraceError(reason, `The ${principal.name} was revoked or has expired.`))
    })
    return {
      signal: controller.signal,
      close: () => {
        forget()
        caller.removeEventListener('abort', gone)
        this.#open.delete(end)
      },
    }
  }

  /** A call is being carried out, until what is returned is called. */
  enter(): () => void {
    this.#underWay++
    return () => {
      this.#underWay--
      if (this.#underWay === 0) this.#allOver?.()
    }
  }

  /** Resolves when no call is being carried out, of those either whose callers have gone; at the latest after `ms`. */
  async over(ms: number): Promise<void> {
    if (this.#underWay === 0) return
    let late: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#allOver = resolve
      late = setTimeout(resolve, ms)
    })
    clearTimeout(late)
  }

  /** Ends all long calls, and those to come: their callers connect again, to another server or to this one's successor. */
  drain(): void {
    this.#draining = true
    for (const end of [...this.#open]) end(new ServerStopping())
  }
}
