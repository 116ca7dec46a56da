import type * as wire from '@millrace/protocol'
import { InternalError } from '../errors/errors.ts'
import type { Transport, TransportCall } from '../transport.ts'
import { missingField } from '../wire.ts'
import { type Body, evenly } from './body.ts'
import type { Carrier, Received, Sending } from './carrier.ts'
import { verified } from './verify.ts'

/** Bytes of one message: large enough that its own cost vanishes, small enough that those on their way are little garbage. */
const messageBytes = 128 * 1024

/** Carries bytes as streams of messages. */
export class StreamCarrier implements Carrier {
  readonly #transport: Transport
  readonly #clientStream: NonNullable<Transport['clientStream']>

  constructor(transport: Transport, clientStream: NonNullable<Transport['clientStream']>) {
    this.#transport = transport
    this.#clientStream = clientStream
  }

  async put(header: wire.PutObjectHeader, body: Body, sending: Sending): Promise<wire.StoredObject | undefined> {
    const requests = this.#messages({ $case: 'header', value: header } as const, body, sending)
    return (await this.#clientStream('ObjectService/PutObject', requests, sending)).object
  }

  async part(header: wire.PutPartHeader, body: Body, sending: Sending): Promise<wire.ObjectPart | undefined> {
    const requests = this.#messages({ $case: 'header', value: header } as const, body, sending)
    return (await this.#clientStream('ObjectService/PutPart', requests, sending)).part
  }

  async get(request: wire.GetObjectRequest, call: TransportCall): Promise<Received> {
    const messages = this.#transport.serverStream('ObjectService/GetObject', request, call)[Symbol.asyncIterator]()
    const { value: first } = await messages.next()
    if (first?.message?.$case !== 'header') throw new InternalError(missingField("the object's header"))
    const header = first.message.value
    const bytes = verified(header, dataOf({ [Symbol.asyncIterator]: () => messages }), this.#transport.createHasher)
    return { header, bytes, cancel: async () => void (await messages.return?.()) }
  }

  async *#messages<H>(header: H, body: Body, { sha256, onProgress }: Sending) {
    yield { message: header }
    const hasher = sha256 === '' ? this.#transport.createHasher?.() : undefined
    let sent = 0
    for await (const value of evenly(body.chunks(), messageBytes)) {
      hasher?.update(value)
      yield { message: { $case: 'data', value } as const }
      sent += value.length
      onProgress?.(sent)
    }
    // Also when the header had it: it is the end by which the server knows that nothing is missing.
    const digest = hasher?.digest() ?? sha256
    if (digest !== '') yield { message: { $case: 'sha256', value: digest } as const }
  }
}

async function* dataOf(messages: AsyncIterable<wire.GetObjectResponse>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { message } of messages) if (message?.$case === 'data') yield message.value
}
