import type { ErrorDetails } from '@millrace/protocol/errors'
import type { Logger } from 'pino'
import { MillraceError } from '../errors.ts'
import { clip } from '../services/clip.ts'
import { fault } from '../services/fault.ts'

/** Bytes of texts on the wire: many clients take no more than 8 KiB of trailers, and the message travels twice. */
const mostBytes = { message: 1000, path: 100, field: 200, id: 300 }

/**
 * What a caller is told of whatever a call threw: a row of the error table with its details. Anything that is not ours is
 * a fault: logged in full, and told as no more than its request id.
 *
 * @param method - path of the method, for the log.
 */
export function errorDetails(error: unknown, requestId: string, method: string, logger: Logger): ErrorDetails {
  const known = error instanceof MillraceError ? error : fault(error, requestId, method, logger)
  const { reason, requiredScope, resource, retryAfterMs, quota } = known
  // What a caller sent comes back in ids and messages: without a cut, a long one would be an answer that cannot be sent.
  const fields = known.fields?.map((field) => ({ path: clip(field.path, mostBytes.path), message: clip(field.message, mostBytes.field) }))
  const id = known.id === undefined ? undefined : clip(known.id, mostBytes.id)
  return { reason, message: clip(known.message, mostBytes.message), requestId, fields, requiredScope, resource, id, retryAfterMs, quota }
}

/** True for what an abort makes waiting code throw. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
