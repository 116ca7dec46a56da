import type { Keyring } from '../domain/keys/keyring.ts'
import type { Principal } from '../domain/keys/principal.ts'
import type { RateLimits, RateStatus } from '../domain/keys/rate-limits.ts'
import type { Call } from '../services/call.ts'
import type { RequiredScope } from '../services/method-scopes.ts'
import type { Scope } from '../store/ports.ts'
import { type Header, secretOf } from './api-key.ts'
import type { CallLifetimes } from './call-lifetimes.ts'
import { namespaceOf } from './namespace.ts'

/** What admission stands on. */
export interface AdmissionOptions {
  readonly keyring: Keyring
  readonly lifetimes: CallLifetimes
  readonly rateLimits: RateLimits
}

/** What is known of a call before it is admitted. */
export interface Arrival {
  readonly requestId: string
  readonly header: Header
  /** What the call needs. */
  readonly required: RequiredScope
  /** Aborts when the caller has gone. Asked for when something waits for it. */
  readonly gone: () => AbortSignal
  /** Is told what is left of the limit of the call's key, when it has one. */
  readonly limited?: (status: RateStatus) => void
}

/** A call that makes its signal when it is asked for. */
export class AdmittedCall implements Call {
  readonly requestId: string
  readonly principal: Principal
  readonly scope: Scope
  readonly #lifetimes: CallLifetimes
  readonly #gone: () => AbortSignal
  readonly #leave: () => void
  #lifetime: ReturnType<CallLifetimes['open']> | undefined

  constructor(lifetimes: CallLifetimes, { requestId, gone }: Pick<Arrival, 'requestId' | 'gone'>, principal: Principal, scope: Scope) {
    this.requestId = requestId
    this.principal = principal
    this.scope = scope
    this.#lifetimes = lifetimes
    this.#gone = gone
    this.#leave = lifetimes.enter()
  }

  get signal(): AbortSignal {
    this.#lifetime ??= this.#lifetimes.open(this.principal, this.#gone())
    return this.#lifetime.signal
  }

  /** It is carried out. Call it once. */
  close(): void {
    this.#lifetime?.close()
    this.#leave()
  }
}

/**
 * What every call passes, whatever it came over: its key, the key's limit, the method's scope, its namespace. Returns at once for a key in
 * use.
 *
 * @throws UNAUTHENTICATED, RATE_LIMITED, PERMISSION_DENIED, VALIDATION
 */
export function admit({ keyring, lifetimes, rateLimits }: AdmissionOptions, arrival: Arrival): AdmittedCall | Promise<AdmittedCall> {
  const { header, required, limited } = arrival
  const enter = (principal: Principal): AdmittedCall => {
    if (principal.key.rateLimit > 0) rateLimits.take(principal.key, limited)
    if (required !== 'any key') principal.require(required)
    return new AdmittedCall(lifetimes, arrival, principal, principal.in(namespaceOf(header)))
  }
  const found = keyring.authenticate(secretOf(header))
  return found instanceof Promise ? found.then(enter) : enter(found)
}
