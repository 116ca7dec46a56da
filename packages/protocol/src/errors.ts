/** One row of the error table: how a reason travels. */
export interface ErrorCatalogueEntry {
  /** gRPC status code. Source: https://grpc.io/docs/guides/status-codes/ */
  readonly grpc: number
  /** HTTP status code. */
  readonly http: number
}

/** Every reason a call can fail for on the server's side, with its HTTP status: what clients over HTTP know of {@link errorCatalogue}. */
export const httpStatuses = {
  /** The request is wrong; `fields` says where. */
  VALIDATION: 400,
  /** No key, or one that is not valid. */
  UNAUTHENTICATED: 401,
  /** A short-lived token has ended; get another. */
  TOKEN_EXPIRED: 401,
  /** The key may not do this; `requiredScope` says what it lacks. */
  PERMISSION_DENIED: 403,
  /** There is no such thing; `resource` and `id` name it. */
  NOT_FOUND: 404,
  /** A lease or a revision is not current. */
  CONFLICT: 409,
  /** An idempotency key was used with another payload. */
  ALREADY_EXISTS: 409,
  /** The resource's state does not allow it. */
  FAILED_PRECONDITION: 409,
  /** Too many requests; try again after `retryAfterMs`. */
  RATE_LIMITED: 429,
  /** A limit is reached; `quota` says which. */
  QUOTA_EXCEEDED: 429,
  /** The deadline passed. */
  DEADLINE_EXCEEDED: 504,
  /** The server cannot do it now (starting, stopping, disk full); try again. */
  UNAVAILABLE: 503,
  /** A fault of the server's. */
  INTERNAL: 500,
} as const satisfies Record<string, number>

/** A key of {@link httpStatuses}. */
export type ErrorReason = keyof typeof httpStatuses

const grpcStatuses: Readonly<Record<ErrorReason, number>> = {
  VALIDATION: 3,
  UNAUTHENTICATED: 16,
  TOKEN_EXPIRED: 16,
  PERMISSION_DENIED: 7,
  NOT_FOUND: 5,
  CONFLICT: 10,
  ALREADY_EXISTS: 6,
  FAILED_PRECONDITION: 9,
  RATE_LIMITED: 8,
  QUOTA_EXCEEDED: 8,
  DEADLINE_EXCEEDED: 4,
  UNAVAILABLE: 14,
  INTERNAL: 13,
}

/**
 * Every reason a call can fail for on the server's side: the one table from which the server's gRPC status and HTTP
 * answers and the SDKs' error classes are made. Reasons travel as `google.rpc.ErrorInfo.reason`.
 */
// Marked so that a page's bundle, which knows HTTP alone, leaves it out.
export const errorCatalogue: Readonly<Record<ErrorReason, ErrorCatalogueEntry>> = /* @__PURE__ */ createCatalogue()

function createCatalogue(): Record<ErrorReason, ErrorCatalogueEntry> {
  const reasons = Object.keys(httpStatuses) as ErrorReason[]
  const rows = reasons.map((reason) => [reason, { grpc: grpcStatuses[reason], http: httpStatuses[reason] }])
  return Object.fromEntries(rows) as Record<ErrorReason, ErrorCatalogueEntry>
}

/** What is known about a failed call beside its message. */
export interface ErrorDetails {
  /** Which row of the table. */
  readonly reason: ErrorReason
  /** What went wrong and what to do, for people. */
  readonly message: string
  /** The server's name for the request, to find it in its logs. */
  readonly requestId?: string
  /** `VALIDATION`: the wrong fields. */
  readonly fields?: readonly { readonly path: string; readonly message: string }[]
  /** `PERMISSION_DENIED`: the scope the key lacks. */
  readonly requiredScope?: string
  /** `NOT_FOUND`: the kind of thing, such as `task`. */
  readonly resource?: string
  /** `NOT_FOUND`: the id that was asked for. */
  readonly id?: string
  /** `RATE_LIMITED`, `QUOTA_EXCEEDED`, `UNAVAILABLE`: when to try again, in milliseconds. */
  readonly retryAfterMs?: number
  /** `QUOTA_EXCEEDED`: which limit, how much of it is used, how much there is. */
  readonly quota?: { readonly type: string; readonly current: number; readonly limit: number }
}

/**
 * The reason that stands for a gRPC status when no `ErrorInfo` came with it (a proxy's answer, a broken connection).
 *
 * @param code - gRPC status code.
 */
export function reasonOfStatus(code: number): ErrorReason {
  switch (code) {
    case 3:
    case 11:
      return 'VALIDATION'
    case 4:
      return 'DEADLINE_EXCEEDED'
    case 5:
      return 'NOT_FOUND'
    case 6:
      return 'ALREADY_EXISTS'
    case 7:
      return 'PERMISSION_DENIED'
    case 8:
      return 'RATE_LIMITED'
    case 9:
      return 'FAILED_PRECONDITION'
    case 10:
      return 'CONFLICT'
    case 14:
      return 'UNAVAILABLE'
    case 16:
      return 'UNAUTHENTICATED'
    default:
      return 'INTERNAL'
  }
}
