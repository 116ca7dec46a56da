import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Http2Session, Http2Stream } from 'node:http2'

/**
 * Bytes that may be under way to this server on one call before it says that it has read them. HTTP/2 begins with 64 KiB, which a peer
 * 20 ms away sends at 3 MB/s at most; grpc-js has an option for clients alone.
 */
const callBytes = 1024 ** 2
/** The same for all calls of a connection. */
const connectionBytes = 4 * callBytes

/** The channel on which Node tells of calls that arrive. */
const channel = 'http2.server.stream.start'

/**
 * Gives connections to a port larger windows, with their first call.
 *
 * @returns what ends it.
 */
export function widenWindows(port: number): () => void {
  const wide = new WeakSet<Http2Session>()
  const onCall = (message: unknown): void => {
    const { session } = (message as { readonly stream: Http2Stream }).stream
    if (!session || wide.has(session) || session.socket.localPort !== port) return
    wide.add(session)
    session.setLocalWindowSize(connectionBytes)
    session.settings({ initialWindowSize: callBytes })
  }
  subscribe(channel, onCall)
  return () => void unsubscribe(channel, onCall)
}
