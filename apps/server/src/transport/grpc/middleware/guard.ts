import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc'
import type { Logger } from 'pino'
import type { Keyring } from '../../../domain/keys/keyring.ts'
import type { Principal } from '../../../domain/keys/principal.ts'
import type { Call } from '../../../services/call.ts'
import type { RequiredScope } from '../../../services/method-scopes.ts'
import type { Scope } from '../../../store/ports.ts'
import type { CallLifetimes } from '../../call-lifetimes.ts'
import { wellFormed, wellFormedEach } from '../malformed.ts'
import { secretOf } from './api-key.ts'
import { toWireError } from './errors.ts'
import { namespaceOf } from './namespace.ts'
import { requestIdHeader, requestIdOf } from './request-id.ts'

/** What a call's context has once it has passed. */
export interface GuardedContext {
  /** The call, as services see it. */
  readonly call: Call
}

/** What the guard stands on. */
export interface GuardOptions {
  readonly keyring: Keyring
  readonly lifetimes: CallLifetimes
  readonly logger: Logger
  /** What each method of the service needs, by the method's path. */
  readonly scopes: ReadonlyMap<string, RequiredScope>
}

/** A call that makes its signal when it is asked for. */
class GuardedCall implements Call {
  readonly requestId: string
  readonly principal: Principal
  readonly scope: Scope
  readonly #open: () => ReturnType<CallLifetimes['open']>
  #lifetime: ReturnType<CallLifetimes['open']> | undefined

  constructor(requestId: string, principal: Principal, scope: Scope, open: () => ReturnType<CallLifetimes['open']>) {
    this.requestId = requestId
    this.principal = principal
    this.scope = scope
    this.#open = open
  }

  get signal(): AbortSignal {
    this.#lifetime ??= this.#open()
    return this.#lifetime.signal
  }

  close(): void {
    this.#lifetime?.close()
  }
}

/**
 * What every call passes, in this order: its id, its key, the method's scope, its namespace, its bytes. It is one
 * generator for all of it, so that a stream's messages pass one and not six.
 */
export function guard({ keyring, lifetimes, logger, scopes }: GuardOptions): ServerMiddleware<GuardedContext> {
  return async function* guarded<Request, Response>(
    call: ServerMiddlewareCall<Request, Response, GuardedContext>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | undefined, undefined> {
    const { path } = call.method
    const requestId = requestIdOf(context.metadata)
    const begun = logger.isLevelEnabled('debug') ? performance.now() : 0
    let current: GuardedCall | undefined
    let failure: unknown
    context.header.set(requestIdHeader, requestId)
    try {
      const found = keyring.authenticate(secretOf(context.metadata))
      const principal = found instanceof Promise ? await found : found
      const required = scopes.get(path)
      if (required === undefined) throw new Error(`${path} has no row in the table of scopes`)
      if (required !== 'any key') principal.require(required)
      const scope = principal.in(namespaceOf(context.metadata))
      current = new GuardedCall(requestId, principal, scope, () => lifetimes.open(principal, context.signal))
      const next = Object.assign(context, { call: current })
      const request = call.requestStream ? wellFormedEach(call.request) : wellFormed(call.request)
      if (call.responseStream) {
        yield* call.next(request, next)
        return undefined
      }
      return yield* call.next(request, next)
    } catch (error) {
      failure = error
      throw toWireError(error, context, requestId, path, logger)
    } finally {
      current?.close()
      if (begun > 0) {
        const ms = Math.round((performance.now() - begun) * 1000) / 1000
        logger.debug(
          { method: path, requestId, ms, peer: context.peer, error: failure instanceof Error ? failure.message : undefined },
          'call',
        )
      }
    }
  } as ServerMiddleware<GuardedContext>
}
