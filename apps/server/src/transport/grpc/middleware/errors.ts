import { errorCatalogue } from '@millrace/protocol/errors'
import { encodeErrorDetails, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { type CallContext, ServerError, Status } from 'nice-grpc'
import type { Logger } from 'pino'
import { errorDetails, isAbort } from '../../error-details.ts'

/**
 * Makes whatever a call threw what its caller gets: a row of the error table with its details in the trailer.
 *
 * @param method - path of the method, for the log.
 */
export function toWireError(error: unknown, context: CallContext, requestId: string, method: string, logger: Logger): unknown {
  if (context.signal.aborted || isAbort(error)) return new ServerError(Status.CANCELLED, 'The call was cancelled.')
  const details = errorDetails(error, requestId, method, logger)
  context.trailer.set(statusDetailsTrailer, encodeErrorDetails(details))
  return new ServerError(errorCatalogue[details.reason].grpc, details.message)
}
