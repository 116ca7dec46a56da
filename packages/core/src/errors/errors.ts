import { type ErrorDetails, type ErrorReason, httpStatuses } from '@millrace/protocol/errors'

/** What an error is, for programs: a reason of the server's, or one that only a client knows. */
export type ErrorCode = ErrorReason | 'ABORTED' | 'CIRCUIT_OPEN' | 'TASK_TIMEOUT' | 'TASK_FAILED'

/** Everything a Millrace client throws. */
export class MillraceError extends Error {
  override readonly name: string = 'MillraceError'
  /** What it is, for programs. */
  readonly code: ErrorCode
  /** The HTTP status that stands for it. */
  readonly statusCode: number
  /** The server's name for the request, to find it in its logs. */
  readonly requestId?: string
  /** All the server said about it. */
  readonly details: ErrorDetails

  constructor(details: ErrorDetails, options?: ErrorOptions & { readonly code?: ErrorCode; readonly statusCode?: number }) {
    super(details.message, options)
    this.code = options?.code ?? details.reason
    this.statusCode = options?.statusCode ?? httpStatuses[details.reason]
    this.requestId = details.requestId
    this.details = details
  }
}

/** The request is wrong. */
export class ValidationError extends MillraceError {
  override readonly name = 'ValidationError'
  /** Where, and what is allowed there. */
  readonly fields: readonly { readonly path: string; readonly message: string }[]

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(details, options)
    this.fields = details.fields ?? []
  }
}

/** No key, or one that is not valid (any more). `code` is `TOKEN_EXPIRED` when a short-lived token has ended, else `UNAUTHENTICATED`. */
export class AuthenticationError extends MillraceError {
  override readonly name = 'AuthenticationError'
}

/** The key may not do this. */
export class PermissionDeniedError extends MillraceError {
  override readonly name = 'PermissionDeniedError'
  /** The scope the key lacks, when that is the cause. */
  readonly requiredScope?: string

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(details, options)
    this.requiredScope = details.requiredScope
  }
}

/** There is no such thing. */
export class NotFoundError extends MillraceError {
  override readonly name: string = 'NotFoundError'
  /** The kind of thing, such as `task`. */
  readonly resource: string
  /** The id that was asked for. */
  readonly id: string

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(details, options)
    this.resource = details.resource ?? ''
    this.id = details.id ?? ''
  }
}

/** There is no such task. */
export class TaskNotFoundError extends NotFoundError {
  override readonly name = 'TaskNotFoundError'
}

/** There is no such job. */
export class JobNotFoundError extends NotFoundError {
  override readonly name = 'JobNotFoundError'
}

/** A lease or a revision is not current, an idempotency key was used for something else, or the state does not allow it. */
export class ConflictError extends MillraceError {
  override readonly name = 'ConflictError'
}

/** Too many requests. */
export class RateLimitError extends MillraceError {
  override readonly name = 'RateLimitError'
  /** Seconds until trying again makes sense; 0 when the server did not say. */
  readonly retryAfter: number

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(details, options)
    this.retryAfter = (details.retryAfterMs ?? 0) / 1000
  }
}

/** A limit is reached. */
export class QuotaExceededError extends MillraceError {
  override readonly name = 'QuotaExceededError'
  /** Which limit; empty when the server did not say. */
  readonly quotaType: string
  /** How much of it is used, when the server said. */
  readonly current?: number
  /** How much there is, when the server said. */
  readonly limit?: number

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(details, options)
    this.quotaType = details.quota?.type ?? ''
    this.current = details.quota?.current
    this.limit = details.quota?.limit
  }
}

/** The call's deadline passed. Whether the server carried it out is not known. */
export class TimeoutError extends MillraceError {
  override readonly name = 'TimeoutError'
}

/** The server cannot be reached, or cannot do it now. */
export class UnavailableError extends MillraceError {
  override readonly name = 'UnavailableError'
}

/** A fault, of the server's or of this package's. */
export class InternalError extends MillraceError {
  override readonly name = 'InternalError'
}

/** Calls are held back because too many failed lately; see the option `circuitBreaker`. */
export class CircuitOpenError extends MillraceError {
  override readonly name = 'CircuitOpenError'

  /** @param retryAfterMs - when the next call will be let through. */
  constructor(retryAfterMs: number) {
    const message = `The circuit is open after failed calls; try again in ${Math.ceil(retryAfterMs)} ms.`
    super({ reason: 'UNAVAILABLE', message, retryAfterMs }, { code: 'CIRCUIT_OPEN' })
  }
}

/** The caller's `AbortSignal` ended the call. Whether the server carried it out is not known. `cause` is the signal's reason. */
export class AbortError extends MillraceError {
  override readonly name = 'AbortError'

  /** @param reason - the signal's reason. */
  constructor(reason?: unknown) {
    super({ reason: 'UNAVAILABLE', message: 'The call was aborted.' }, { cause: reason, code: 'ABORTED', statusCode: 499 })
  }
}

/** A task did not end in the time that a `wait` was given. The task goes on. */
export class TaskTimeoutError extends MillraceError {
  override readonly name = 'TaskTimeoutError'
  /** The task. */
  readonly taskId: string
  /** How long was waited, in milliseconds. */
  readonly timeout: number

  constructor(taskId: string, timeout: number, options?: ErrorOptions) {
    const message = `Task '${taskId}' did not end within ${timeout} ms.`
    super({ reason: 'DEADLINE_EXCEEDED', message }, { ...options, code: 'TASK_TIMEOUT' })
    this.taskId = taskId
    this.timeout = timeout
  }
}

/** A task that was waited for with `failFast` ended without a result. */
export class TaskFailedError extends MillraceError {
  override readonly name = 'TaskFailedError'
  /** The task. */
  readonly taskId: string
  /** How it ended. */
  readonly status: 'failed' | 'cancelled'

  constructor(taskId: string, status: 'failed' | 'cancelled', why: string) {
    super({ reason: 'INTERNAL', message: `Task '${taskId}' ${status}${why ? `: ${why}` : '.'}` }, { code: 'TASK_FAILED' })
    this.taskId = taskId
    this.status = status
  }
}

/**
 * One option is wrong.
 *
 * @param path - its name.
 * @param message - what is wrong with it and what is allowed.
 */
export function invalid(path: string, message: string): ValidationError {
  return new ValidationError({ reason: 'VALIDATION', message: `${path}: ${message}`, fields: [{ path, message }] })
}

/** The server cannot be reached, or cannot do it now. */
export function unavailable(message: string, options?: ErrorOptions & { readonly retryAfterMs?: number }): UnavailableError {
  return new UnavailableError({ reason: 'UNAVAILABLE', message, retryAfterMs: options?.retryAfterMs }, options)
}

/** A call's time is over. */
export function noAnswer(timeoutMs: number): TimeoutError {
  return new TimeoutError({ reason: 'DEADLINE_EXCEEDED', message: `There was no answer within ${timeoutMs} ms.` })
}
