import { MillraceError } from '../../errors.ts'

/** Stands for a request whose bytes are not the message they should be. */
class MalformedRequest {
  /** What the decoder said. */
  readonly problem: string

  /** @param problem - what the decoder said. */
  constructor(problem: string) {
    this.problem = problem
  }
}

/** The part of a method's definition that decodes. */
interface Decodes {
  requestDeserialize(bytes: Uint8Array): unknown
}

/**
 * Makes a definition's methods pass on what they cannot decode instead of throwing: grpc-js would answer INTERNAL, as
 * though the fault were the server's.
 *
 * @param definition - a service as nice-grpc takes it.
 */
export function tolerant<D extends Record<string, Decodes>>(definition: D): D {
  const methods = Object.entries(definition).map(([name, method]) => {
    const decode = (bytes: Uint8Array): unknown => {
      try {
        return method.requestDeserialize(bytes)
      } catch (error) {
        return new MalformedRequest(error instanceof Error ? error.message : String(error))
      }
    }
    return [name, { ...method, requestDeserialize: decode }]
  })
  return Object.fromEntries(methods) as D
}

/**
 * Refuses a request that could not be decoded.
 *
 * @throws VALIDATION
 */
export function wellFormed<T>(request: T): T {
  if (request instanceof MalformedRequest) {
    throw new MillraceError('VALIDATION', `The request is not a valid protobuf message of its type: ${request.problem}`)
  }
  return request
}

/** {@link wellFormed} for each request of a stream. */
export async function* wellFormedEach<T>(requests: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  for await (const request of requests) yield wellFormed(request)
}
