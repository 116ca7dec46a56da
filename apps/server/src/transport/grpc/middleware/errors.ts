import { errorCatalogue } from '@millrace/protocol/errors'
import { encodeErrorDetails, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { type CallContext, ServerError, Status } from 'nice-grpc'
import type { Logger } from 'pino'
import { MillraceError } from '../../../errors.ts'
import { clip } from '../../../services/clip.ts'

/** Bytes of a message on the wire: trailers have little room. */
const mostBytes = 1000

/**
 * Makes whatever a call threw what its caller gets: a row of the error table with its details in the trailer. Anything
 * that is not ours is a fault: logged in full, and told as no more than its request id.
 *
 * @param method - path of the method, for the log.
 */
export function toWireError(error: unknown, context: CallContext, requestId: string, method: string, logger: Logger): unknown {
  if (context.signal.aborted || isAbort(error)) return new ServerError(Status.CANCELLED, 'The call was cancelled.')
  const known = error instanceof MillraceError ? error : fault(error, requestId, method, logger)
  const message = clip(known.message, mostBytes)
  const { reason, fields, requiredScope, resource, id, retryAfterMs, quota } = known
  const details = { reason, message, requestId, fields, requiredScope, resource, id, retryAfterMs, quota }
  context.trailer.set(statusDetailsTrailer, encodeErrorDetails(details))
  return new ServerError(errorCatalogue[reason].grpc, message)
}

function fault(error: unknown, requestId: string, method: string, logger: Logger): MillraceError {
  logger.error({ err: error, requestId, method }, 'a call failed for a fault of the server')
  return new MillraceError('INTERNAL', `The server failed. Its log has the reason under the request id ${requestId}.`)
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
