import type { ErrorDetails, ErrorReason } from '@millrace/protocol/errors'

/** The server's one error class: a row of the error table with its details. Anything else thrown is a fault (`INTERNAL`). */
export class MillraceError extends Error implements ErrorDetails {
  override readonly name = 'MillraceError'
  readonly reason: ErrorReason
  readonly fields?: ErrorDetails['fields']
  readonly requiredScope?: string
  readonly resource?: string
  readonly id?: string
  readonly retryAfterMs?: number
  readonly quota?: ErrorDetails['quota']

  /**
   * @param reason - the row of the error table.
   * @param message - what was wrong, where, and what to do.
   * @param details - the row's fields.
   */
  constructor(
    reason: ErrorReason,
    message: string,
    details: Omit<ErrorDetails, 'reason' | 'message' | 'requestId'> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.reason = reason
    Object.assign(this, details)
  }
}

/** Ends long calls when the server stops. Streams of jobs end well then, so that what was sent before is read by the worker. */
export class ServerStopping extends MillraceError {
  constructor() {
    super('UNAVAILABLE', 'The server is stopping. Connect again.')
  }
}

/**
 * There is no `resource` with this `id` (or it belongs to somebody else, which looks the same).
 *
 * @param where - where it was looked for.
 */
export function notFound(resource: string, id: string, where = 'in this namespace'): MillraceError {
  return new MillraceError('NOT_FOUND', `There is no ${resource} '${id}' ${where}.`, { resource, id })
}

/** One field is wrong. */
export function invalid(path: string, message: string): MillraceError {
  return new MillraceError('VALIDATION', `${path}: ${message}`, { fields: [{ path, message }] })
}
