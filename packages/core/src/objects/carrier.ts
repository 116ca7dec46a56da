import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import type { TransportCall } from '../transport.ts'
import type { Body } from './body.ts'
import { HttpCarrier } from './http-carrier.ts'
import { StreamCarrier } from './stream-carrier.ts'

/** How bytes are sent. */
export interface Sending extends TransportCall {
  readonly sha256: string
  readonly onProgress?: (sent: number) => void
}

/** An object that is being read. */
export interface Received {
  readonly header: wire.GetObjectHeader
  /** Its bytes; asked for once. Whoever stops early ends the call. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** Ends a call whose bytes nobody wants. */
  cancel(): Promise<void>
}

/** Carries bytes to and from the server, in the way that suits the transport. */
export interface Carrier {
  put(header: wire.PutObjectHeader, body: Body, sending: Sending): Promise<wire.StoredObject | undefined>
  part(header: wire.PutPartHeader, body: Body, sending: Sending): Promise<wire.ObjectPart | undefined>
  get(request: wire.GetObjectRequest, call: TransportCall): Promise<Received>
}

/** The carrier of a client. */
export function carrierOf({ transport }: ClientContext): Carrier {
  const { clientStream, begin } = transport
  if (clientStream) return new StreamCarrier(transport, clientStream.bind(transport))
  if (begin) return new HttpCarrier(begin.bind(transport))
  throw new Error('This transport carries no objects.')
}
