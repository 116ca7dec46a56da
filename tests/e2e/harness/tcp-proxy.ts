import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Both sides of one connection. */
interface Link {
  readonly sides: readonly [Socket, Socket]
  /** One side is gone, and the other does not know yet. */
  broken: boolean
}

/** Stands between two programs and does what networks do: breaks connections, refuses them, or says nothing for a while. */
export class TcpProxy implements Disposable {
  readonly #server: Server
  readonly #links = new Set<Link>()
  /** Connections that were asked for, the refused ones too. */
  asked = 0
  #way: 'open' | 'silent' | 'refused' = 'open'

  private constructor(target: number) {
    this.#server = createServer({ allowHalfOpen: true }, (from) => this.#join(from, target))
  }

  /** Begins to listen on a free port, for a program on this machine. @param target - its port. */
  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** Where it listens. */
  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The proxy does not listen.')
    return address.port
  }

  /** Resets every connection. */
  cut(): void {
    for (const link of this.#links) this.#drop(link)
  }

  /** Resets every connection and refuses new ones. */
  refuse(): void {
    this.#way = 'refused'
    this.cut()
  }

  /** Lets nothing through, and tells nobody: not even that the other side has gone. */
  silence(): void {
    this.#way = 'silent'
    for (const { sides } of this.#links) for (const socket of sides) socket.pause()
  }

  /**
   * Lets everything through again.
   *
   * @param late - also what was sent meanwhile, as a network that held it back; otherwise those connections are reset.
   */
  heal({ late }: { readonly late: boolean } = { late: false }): void {
    const was = this.#way
    this.#way = 'open'
    if (was !== 'silent') return
    for (const link of this.#links) {
      if (link.broken || !late) this.#drop(link)
      else for (const socket of link.sides) socket.resume()
    }
  }

  [Symbol.dispose](): void {
    this.refuse()
    this.#server.close()
  }

  #join(from: Socket, port: number): void {
    this.asked++
    if (this.#way === 'refused') {
      from.resetAndDestroy()
      return
    }
    const to = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const link: Link = { sides: [from, to], broken: false }
    this.#links.add(link)
    for (const [side, other] of [
      [from, to],
      [to, from],
    ] as const) {
      side.setNoDelay(true)
      side.on('data', (bytes) => {
        if (!other.write(bytes)) side.pause()
      })
      side.on('drain', () => {
        if (this.#way !== 'silent') other.resume()
      })
      side.on('end', () => other.end())
      side.on('error', () => undefined)
      side.on('close', () => {
        link.broken = true
        if (this.#way !== 'silent') this.#drop(link)
      })
      if (this.#way === 'silent') side.pause()
    }
  }

  #drop(link: Link): void {
    this.#links.delete(link)
    for (const socket of link.sides) socket.resetAndDestroy()
  }
}
