import { MillraceError } from '../../errors.ts'

/** The metadata that announces a digest after the bytes (`trailer`): a stream that ends without one is not whole. */
export const digestHeader = 'millrace-digest'

/**
 * Passes on the messages of an upload that was announced to end with its digest.
 *
 * @throws UNAVAILABLE when it ends without one: grpc-js ends the stream also when its call is cancelled.
 */
export async function* wholeEach<T>(requests: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  let last: { readonly message?: { readonly $case: string } } | undefined
  for await (const request of requests) {
    last = request as typeof last
    yield request
  }
  if (last?.message?.$case !== 'sha256') throw new MillraceError('UNAVAILABLE', 'The call broke off before all bytes had come.')
}
