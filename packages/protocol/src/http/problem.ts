import { type ErrorDetails, type ErrorReason, httpStatuses } from '../errors.ts'

/** An error as HTTP carries it, `application/problem+json`. Source: https://www.rfc-editor.org/rfc/rfc9457 */
export interface Problem {
  /** Names the kind of error: `urn:millrace:error:NOT_FOUND`. */
  readonly type: string
  /** The kind of error, for people. */
  readonly title: string
  /** The HTTP status. */
  readonly status: number
  /** What went wrong and what to do, for people. */
  readonly detail: string
  /** A row of the error table. */
  readonly code: ErrorReason
  /** The server's name for the request. */
  readonly requestId?: string
  /** `VALIDATION`: the wrong fields. */
  readonly fields?: ErrorDetails['fields']
  /** `PERMISSION_DENIED`: the scope the key lacks. */
  readonly requiredScope?: string
  /** `NOT_FOUND`: the kind of thing. */
  readonly resource?: string
  /** `NOT_FOUND`: the id that was asked for. */
  readonly id?: string
  /** When to try again, in seconds. */
  readonly retryAfter?: number
  /** `QUOTA_EXCEEDED`: which limit, how much of it is used, how much there is. */
  readonly quota?: ErrorDetails['quota']
}

/**
 * Writes an error as a problem.
 *
 * @param details - the error.
 * @param status - HTTP status, where it is not the error table's.
 */
export function toProblem(details: ErrorDetails, status: number = httpStatuses[details.reason]): Problem {
  const { reason, message, retryAfterMs, ...rest } = details
  const words = reason.toLowerCase().replaceAll('_', ' ')
  const title = words.charAt(0).toUpperCase() + words.slice(1)
  const retryAfter = retryAfterMs === undefined ? {} : { retryAfter: retryAfterMs / 1000 }
  return { type: `urn:millrace:error:${reason}`, title, status, detail: message, code: reason, ...rest, ...retryAfter }
}

/**
 * Reads an answer that is not a success, ours or a proxy's.
 *
 * @param status - its HTTP status.
 * @param body - its JSON, when it had any.
 */
export function fromProblem(status: number, body: unknown): ErrorDetails {
  const { code, detail, title, retryAfter, requestId, fields, requiredScope, resource, id, quota } = (body ?? {}) as Partial<Problem>
  const reason = code && Object.hasOwn(httpStatuses, code) ? code : reasonOfHttp(status)
  const message = detail ?? title ?? `The answer has the status ${status}.`
  const retryAfterMs = typeof retryAfter === 'number' ? retryAfter * 1000 : undefined
  return { reason, message, requestId, fields, requiredScope, resource, id, retryAfterMs, quota }
}

/**
 * What an answer without a code means, a proxy's most likely: the first row of the error table with its status, or what is
 * the request's or the server's fault.
 */
function reasonOfHttp(status: number): ErrorReason {
  if (status === 408) return 'DEADLINE_EXCEEDED'
  if (status === 502) return 'UNAVAILABLE'
  const reasons = Object.keys(httpStatuses) as ErrorReason[]
  return reasons.find((reason) => httpStatuses[reason] === status) ?? (status < 500 ? 'VALIDATION' : 'INTERNAL')
}
