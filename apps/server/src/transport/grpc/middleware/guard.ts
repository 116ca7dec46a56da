import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc'
import type { Logger } from 'pino'
import { MillraceError } from '../../../errors.ts'
import type { Metrics } from '../../../metrics.ts'
import type { Call } from '../../../services/call.ts'
import type { RequiredScope } from '../../../services/method-scopes.ts'
import { type AdmissionOptions, type AdmittedCall, admit } from '../../admission.ts'
import { isAbort } from '../../error-details.ts'
import { requestIdHeader, requestIdOf } from '../../request-id.ts'
import { wellFormed, wellFormedEach } from '../malformed.ts'
import { digestHeader, wholeEach } from '../whole-uploads.ts'
import { toWireError } from './errors.ts'

/** What a call's context has once it has passed. */
export interface GuardedContext {
  /** The call, as services see it. */
  readonly call: Call
}

/** What the guard stands on. */
export interface GuardOptions extends AdmissionOptions {
  readonly logger: Logger
  readonly metrics: Metrics
  /** What each method of the service needs, by the method's path. */
  readonly scopes: ReadonlyMap<string, RequiredScope>
}

/**
 * What every call passes, in this order: its id, its key, the method's scope, its namespace, its bytes. It is one
 * generator for all of it, so that a stream's messages pass one and not six.
 */
export function guard(options: GuardOptions): ServerMiddleware<GuardedContext> {
  const { logger, metrics, scopes } = options
  return async function* guarded<Request, Response>(
    call: ServerMiddlewareCall<Request, Response, GuardedContext>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | undefined, undefined> {
    const { path } = call.method
    const header = (name: string): string | undefined => context.metadata.get(name) as string | undefined
    const requestId = requestIdOf(header(requestIdHeader))
    const begun = performance.now()
    let current: AdmittedCall | undefined
    let failure: unknown
    context.header.set(requestIdHeader, requestId)
    try {
      const required = scopes.get(path)
      if (required === undefined) throw new Error(`${path} has no row in the table of scopes`)
      const admitted = admit(options, { requestId, header, required, gone: () => context.signal })
      current = admitted instanceof Promise ? await admitted : admitted
      const next = Object.assign(context, { call: current })
      const request = call.requestStream ? wellFormedEach(call.request) : wellFormed(call.request)
      if (call.responseStream) {
        yield* call.next(request, next)
        return undefined
      }
      const isAnnounced = call.requestStream && header(digestHeader) === 'trailer'
      return yield* call.next(isAnnounced ? wholeEach(request as AsyncIterable<Request>) : request, next)
    } catch (error) {
      failure = error
      throw toWireError(error, context, requestId, path, logger)
    } finally {
      current?.close()
      const ms = performance.now() - begun
      const isStream = call.requestStream || call.responseStream
      metrics.called('grpc', path.slice(path.lastIndexOf('.') + 1), codeOf(context, failure), isStream ? undefined : ms)
      if (logger.isLevelEnabled('debug')) {
        const error = failure instanceof Error ? failure.message : undefined
        logger.debug({ method: path, requestId, ms: Math.round(ms * 1000) / 1000, peer: context.peer, error }, 'call')
      }
    }
  } as ServerMiddleware<GuardedContext>
}

/** How a call ended, in the words of the error table. */
function codeOf({ signal }: CallContext, failure: unknown): string {
  if (failure === undefined) return 'OK'
  if (signal.aborted || isAbort(failure)) return 'CANCELLED'
  return failure instanceof MillraceError ? failure.reason : 'INTERNAL'
}
