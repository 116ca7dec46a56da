import { BinaryWriter } from '@bufbuild/protobuf/wire'
import { type ErrorDetails, type ErrorReason, errorCatalogue, reasonOfStatus } from './errors.ts'
import { BadRequest, ErrorInfo, QuotaFailure, RequestInfo, ResourceInfo, RetryInfo } from './gen/google/rpc/error_details.ts'
import { Status } from './gen/google/rpc/status.ts'

/** The trailer that carries `google.rpc.Status`. Source: https://grpc.io/docs/guides/error/#richer-error-model */
export const statusDetailsTrailer = 'grpc-status-details-bin'

/** A method as ts-proto's `generic-definitions` describe it. */
interface GeneratedMethod {
  readonly name: string
  readonly requestType: Codec<unknown>
  readonly requestStream: boolean
  readonly responseType: Codec<unknown>
  readonly responseStream: boolean
}

interface Codec<T> {
  encode(message: T, writer?: BinaryWriter): { finish(): Uint8Array }
  decode(bytes: Uint8Array): T
}

/** A method as nice-grpc takes it. */
export interface GrpcMethod<Req, Res, ReqStream extends boolean, ResStream extends boolean> {
  /** `/millrace.v1.TaskService/SubmitTask`. */
  readonly path: string
  /** True when the caller sends any number of messages. */
  readonly requestStream: ReqStream
  /** True when the server answers with any number of messages. */
  readonly responseStream: ResStream
  /** Writes a request as protobuf. */
  requestSerialize(value: Req): Uint8Array
  /** Reads a request. Throws where the bytes are none. */
  requestDeserialize(bytes: Uint8Array): Req
  /** Writes an answer as protobuf. */
  responseSerialize(value: Res): Uint8Array
  /** Reads an answer. Throws where the bytes are none. */
  responseDeserialize(bytes: Uint8Array): Res
  /** Whether a call may be repeated; empty when nothing is said of it. */
  readonly options: { idempotencyLevel?: 'IDEMPOTENT' | 'NO_SIDE_EFFECTS' }
}

type MessageOf<C> = C extends { decode(input: never, length?: number): infer T } ? T : never

/** A service as nice-grpc takes it, with the generated service's methods. */
export type GrpcDefinition<S extends { readonly methods: object }> = {
  [M in keyof S['methods']]: S['methods'][M] extends {
    readonly requestType: infer Req
    readonly responseType: infer Res
    readonly requestStream: infer ReqStream extends boolean
    readonly responseStream: infer ResStream extends boolean
  }
    ? GrpcMethod<MessageOf<Req>, MessageOf<Res>, ReqStream, ResStream>
    : never
}

/**
 * Turns a generated service into a nice-grpc definition that encodes messages as they are. nice-grpc's own adapter
 * copies each message through `fromPartial` first, which costs about as much as encoding it; messages must therefore be
 * complete.
 *
 * @param service - a `…Definition` of this package.
 */
export function grpcDefinition<S extends { readonly fullName: string; readonly methods: object }>(service: S): GrpcDefinition<S> {
  const methods = Object.entries(service.methods as Record<string, GeneratedMethod>).map(([key, method]) => {
    const { requestType, responseType } = method
    return [
      key,
      {
        path: `/${service.fullName}/${method.name}`,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        requestSerialize: (value: unknown) => encode(requestType, value),
        requestDeserialize: (bytes: Uint8Array) => requestType.decode(bytes),
        responseSerialize: (value: unknown) => encode(responseType, value),
        responseDeserialize: (bytes: Uint8Array) => responseType.decode(bytes),
        options: {},
      },
    ]
  })
  return Object.fromEntries(methods) as GrpcDefinition<S>
}

/** Messages up to so many bytes leave their room to the next one. */
const keptRoom = 1 << 20

/** Writes all messages: room of its own for each takes longer to make than most take to write, and is soon garbage. */
let writer = new BinaryWriter()

function encode(type: Codec<unknown>, message: unknown): Uint8Array {
  let bytes: Uint8Array | undefined
  try {
    bytes = type.encode(message, writer).finish()
    return bytes
  } finally {
    // What could not be written to its end has left its beginning.
    if (!bytes || bytes.length > keptRoom) writer = new BinaryWriter()
  }
}

const typePrefix = 'type.googleapis.com/google.rpc.'

/**
 * Encodes an error as the value of the {@link statusDetailsTrailer}, in Google's standard detail messages.
 *
 * @param details - the error.
 */
export function encodeErrorDetails(details: ErrorDetails): Uint8Array {
  const any = <T>(type: string, codec: Codec<T>, value: T) => ({ typeUrl: typePrefix + type, value: codec.encode(value).finish() })
  const metadata: Record<string, string> = details.requiredScope ? { requiredScope: details.requiredScope } : {}
  const list = [any('ErrorInfo', ErrorInfo, { reason: details.reason, domain: 'millrace', metadata })]
  if (details.requestId) list.push(any('RequestInfo', RequestInfo, { requestId: details.requestId, servingData: '' }))
  if (details.fields?.length) {
    const fieldViolations = details.fields.map(({ path, message }) => ({
      field: path,
      description: message,
      reason: '',
      localizedMessage: undefined,
    }))
    list.push(any('BadRequest', BadRequest, { fieldViolations }))
  }
  if (details.resource) {
    const info = { resourceType: details.resource, resourceName: details.id ?? '', owner: '', description: '' }
    list.push(any('ResourceInfo', ResourceInfo, info))
  }
  if (details.retryAfterMs !== undefined) {
    const seconds = Math.floor(details.retryAfterMs / 1000)
    const nanos = Math.round(details.retryAfterMs - seconds * 1000) * 1e6
    list.push(any('RetryInfo', RetryInfo, { retryDelay: { seconds, nanos } }))
  }
  if (details.quota) {
    const { type, current, limit } = details.quota
    const violation = QuotaFailure.fromPartial({
      violations: [
        {
          subject: type,
          description: details.message,
          quotaMetric: type,
          quotaValue: limit,
          quotaDimensions: { current: String(current) },
        },
      ],
    })
    list.push(any('QuotaFailure', QuotaFailure, violation))
  }
  return Status.encode({ code: errorCatalogue[details.reason].grpc, message: details.message, details: list }).finish()
}

/**
 * Decodes what {@link encodeErrorDetails} encoded. Details of other kinds are passed over; a broken trailer counts as none.
 *
 * @param code - the call's gRPC status code.
 * @param message - the call's status message.
 * @param trailer - the trailer's bytes, when there were any.
 */
export function decodeErrorDetails(code: number, message: string, trailer: Uint8Array | undefined): ErrorDetails {
  const found: { -readonly [K in keyof ErrorDetails]: ErrorDetails[K] } = { reason: reasonOfStatus(code), message }
  for (const { typeUrl, value } of trailer ? decodeStatus(trailer).details : []) {
    switch (typeUrl.slice(typePrefix.length)) {
      case 'ErrorInfo': {
        const info = ErrorInfo.decode(value)
        if (info.reason in errorCatalogue) found.reason = info.reason as ErrorReason
        if (info.metadata.requiredScope) found.requiredScope = info.metadata.requiredScope
        break
      }
      case 'RequestInfo':
        found.requestId = RequestInfo.decode(value).requestId
        break
      case 'BadRequest':
        found.fields = BadRequest.decode(value).fieldViolations.map((v) => ({ path: v.field, message: v.description }))
        break
      case 'ResourceInfo': {
        const info = ResourceInfo.decode(value)
        found.resource = info.resourceType
        found.id = info.resourceName
        break
      }
      case 'RetryInfo': {
        const { seconds = 0, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {}
        found.retryAfterMs = seconds * 1000 + nanos / 1e6
        break
      }
      case 'QuotaFailure': {
        const [violation] = QuotaFailure.decode(value).violations
        if (violation) {
          found.quota = {
            type: violation.quotaMetric,
            current: Number(violation.quotaDimensions.current ?? 0),
            limit: violation.quotaValue,
          }
        }
        break
      }
    }
  }
  return found
}

function decodeStatus(bytes: Uint8Array): Status {
  try {
    return Status.decode(bytes)
  } catch {
    // The status code and message still tell what happened.
    return { code: 0, message: '', details: [] }
  }
}

/**
 * Why a call had no connection, out of the words that grpc-js and OpenSSL have for it.
 *
 * @param details - the details of a call that failed with UNAVAILABLE.
 * @returns a few words, such as `connect ECONNREFUSED 127.0.0.1:1`; undefined when the details are about something else.
 */
export function whyNotConnected(details: string): string | undefined {
  const last = /^No connection established\. Last error: (?:Error: )?(.*?)(?: \(\d{4}-[^)]*\))?\.?\s*Resolution note:/s.exec(details)?.[1]
  if (last !== undefined) return last.replace(/^\w+:error:\w+:[^:]*:[^:]*:([^:]+):.*$/s, 'TLS: $1')
  return details.startsWith('Name resolution failed') ? details : undefined
}
