import type { Logger } from 'pino'
import { MillraceError } from '../errors.ts'

/**
 * What a caller is told of an error that is not ours: logged in full, and told as no more than the request's id.
 *
 * @param method - what failed, for the log.
 */
export function fault(error: unknown, requestId: string, method: string, logger: Logger): MillraceError {
  logger.error({ err: error, requestId, method }, 'a call failed for a fault of the server')
  return new MillraceError('INTERNAL', `The server failed. Its log has the reason under the request id ${requestId}.`)
}
