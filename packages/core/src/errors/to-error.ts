import type { ItemError } from '@millrace/protocol'
import { type ErrorDetails, type ErrorReason, httpStatuses } from '@millrace/protocol/errors'
import {
  AbortError,
  AuthenticationError,
  ConflictError,
  InternalError,
  JobNotFoundError,
  MillraceError,
  NotFoundError,
  PermissionDeniedError,
  QuotaExceededError,
  RateLimitError,
  TaskNotFoundError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from './errors.ts'

type ErrorClass = new (details: ErrorDetails, options?: ErrorOptions) => MillraceError

const classOfReason: Readonly<Record<ErrorReason, ErrorClass>> = {
  VALIDATION: ValidationError,
  UNAUTHENTICATED: AuthenticationError,
  TOKEN_EXPIRED: AuthenticationError,
  PERMISSION_DENIED: PermissionDeniedError,
  NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  ALREADY_EXISTS: ConflictError,
  FAILED_PRECONDITION: ConflictError,
  RATE_LIMITED: RateLimitError,
  QUOTA_EXCEEDED: QuotaExceededError,
  DEADLINE_EXCEEDED: TimeoutError,
  UNAVAILABLE: UnavailableError,
  INTERNAL: InternalError,
}

const classOfResource: ReadonlyMap<string | undefined, ErrorClass> = new Map<string, ErrorClass>([
  ['task', TaskNotFoundError],
  ['job', JobNotFoundError],
])

/** The error of the class that stands for what the server (or a transport) said. */
export function errorFromDetails(details: ErrorDetails, options?: ErrorOptions): MillraceError {
  const byReason = classOfReason[details.reason]
  const errorClass = byReason === NotFoundError ? (classOfResource.get(details.resource) ?? NotFoundError) : byReason
  return new errorClass(details, options)
}

/** The error of one of several calls that travelled together. */
export function errorFromCall(
  { reason, message, fields, retryAfterMs, quota, resource, id }: ItemError,
  requestId?: string,
): MillraceError {
  return errorFromDetails({
    reason: reason in httpStatuses ? (reason as ErrorReason) : 'INTERNAL',
    message,
    requestId,
    fields,
    ...(retryAfterMs > 0 && { retryAfterMs }),
    ...(quota && { quota }),
    ...(resource && { resource, id }),
  })
}

/** The error of one item of a batch. Its caller knows of no batch: places such as `jobs[3].priority` become `priority`. */
export function errorFromItem(item: ItemError): MillraceError {
  return errorFromCall({
    ...item,
    message: item.message.replace(placeInBatch, ''),
    fields: item.fields.map((field) => ({ path: field.path.replace(placeInBatch, ''), message: field.message })),
  })
}

const placeInBatch = /^\w+\[\d+\]\./

/** Why an item of a batch was refused, when it was. */
export function refusalOf({ error }: { readonly error: ItemError | undefined }): MillraceError | undefined {
  return error && errorFromItem(error)
}

/** Whatever was thrown, as a `MillraceError`. The one place where caught values become errors. */
export function errorFrom(thrown: unknown): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  if (thrown instanceof Error && thrown.name === 'AbortError') return new AbortError(thrown)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new InternalError({ reason: 'INTERNAL', message }, { cause: thrown })
}

/** There is no `resource` with this id. */
export function notFound(resource: string, id: string): MillraceError {
  return errorFromDetails({ reason: 'NOT_FOUND', message: `There is no ${resource} '${id}' in this namespace.`, resource, id })
}
