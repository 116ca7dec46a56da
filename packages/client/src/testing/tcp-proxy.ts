import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** Stands between a client and a server, counts, and can break the way. */
export class TcpProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Connections made so far. */
  connections = 0
  /** Bytes that the client has sent. */
  sent = 0

  private constructor(target: string) {
    const [host, port] = target.split(':')
    this.#server = createServer((client) => {
      this.connections++
      const server = connect(Number(port), host)
      client.on('data', (bytes) => {
        this.sent += bytes.length
      })
      client.pipe(server).pipe(client)
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket))
      }
    })
  }

  /** Begins to listen; goes when the test ends. */
  static async start(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      proxy.cut()
      proxy.#server.close()
    })
    return proxy
  }

  get endpoint(): string {
    const address = this.#server.address()
    return typeof address === 'object' ? `127.0.0.1:${address?.port}` : ''
  }

  /** Breaks every connection, and takes no more. */
  stop(): void {
    this.#server.close()
    this.cut()
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }
}
