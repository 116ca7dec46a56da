import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** The channel on which Node tells of connections that arrive. */
const channel = 'net.server.socket'

/** Connections to one port of this process. */
export interface Connections {
  /** Ends each as it is. grpc-js does not, without channelz; and HTTP/2 waits for a peer that reads nothing, or has gone. */
  destroyAll(): void
  /** Ends those over which nothing has come: nobody is there to hear that the server goes. */
  destroyUnused(): void
  /** Forgets them. */
  forget(): void
}

/** Knows the connections to a port, from its first on. */
export function watchConnections(port: number): Connections {
  const open = new Set<Socket>()
  const onConnection = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket }
    if (socket.localPort !== port) return
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  }
  subscribe(channel, onConnection)
  return {
    destroyAll() {
      for (const socket of open) socket.destroy()
    },
    destroyUnused() {
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
    },
    forget: () => void unsubscribe(channel, onConnection),
  }
}
