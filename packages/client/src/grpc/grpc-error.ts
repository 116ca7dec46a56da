import { type Metadata, status as Status } from '@grpc/grpc-js'
import type { MillraceError } from '@millrace/core'
import { errorFromDetails } from '@millrace/core/adapter'
import type { ErrorDetails } from '@millrace/protocol/errors'
import { decodeErrorDetails, statusDetailsTrailer, whyNotConnected } from '@millrace/protocol/grpc'

/** How a call ended badly, as grpc-js says it. */
export interface GrpcFailure {
  readonly code: number
  readonly details: string
  readonly metadata?: Metadata
}

/** The error that stands for a call that failed at `endpoint`. */
export function errorFromGrpc(failure: GrpcFailure, endpoint: string): MillraceError {
  const trailer = failure.metadata?.get(statusDetailsTrailer)[0]
  if (trailer instanceof Uint8Array) return errorFromDetails(decodeErrorDetails(failure.code, failure.details, trailer))
  return errorFromDetails(withoutTrailer(failure, endpoint), { cause: failure })
}

/** What did not come from the server itself: broken connections, limits of message sizes, proxies. */
function withoutTrailer({ code, details }: GrpcFailure, endpoint: string): ErrorDetails {
  const unreachable = code === Status.UNAVAILABLE ? whyNotConnected(details) : undefined
  if (unreachable !== undefined) {
    const hint = unreachable.includes('wrong version number') ? ' Without TLS, leave out https://.' : ''
    const message = `The server '${endpoint}' cannot be reached (${unreachable}). Does one run there, and is it where it serves gRPC?${hint}`
    return { reason: 'UNAVAILABLE', message }
  }
  // A connection that breaks shows as one of these, with the words of whatever layer noticed first.
  const broken = code === Status.CANCELLED || (code === Status.INTERNAL && /RST_STREAM|ECONN|EPIPE|socket|session/i.test(details))
  if (broken) return { reason: 'UNAVAILABLE', message: details }
  if (code === Status.RESOURCE_EXHAUSTED && details.includes('larger than')) {
    return { reason: 'VALIDATION', message: `${details}. Send less at a time.`, fields: [{ path: '', message: details }] }
  }
  return decodeErrorDetails(code, details, undefined)
}
