import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'

/** What goes wrong with a request. */
export interface Fault {
  /** It is answered with this instead of being passed on. */
  readonly answer?: { readonly status: number; readonly body: string }
  /** The connection breaks after so many bytes of the request's body; 0: at once. */
  readonly cutSent?: number
  /** The connection breaks after so many bytes of the answer. */
  readonly cutAnswer?: number
  /** Nothing comes any more after so many bytes of the answer; 0: there is none. */
  readonly stopAnswer?: number
}

/** A request, as far as faults depend on it. */
export interface Seen {
  readonly method: string
  readonly url: string
}

/** Stands before an HTTP server and does what servers and networks do when they are in trouble. */
export class FaultyHttp implements AsyncDisposable {
  readonly #server: Server
  readonly #target: URL
  /** What goes wrong with a request; undefined: nothing. */
  fault: (request: Seen) => Fault | undefined = () => undefined
  /** All requests so far. */
  readonly seen: Seen[] = []
  /** Connections so far. */
  opened = 0

  private constructor(target: string) {
    this.#target = new URL(target)
    this.#server = createServer((incoming, answer) => this.#pass(incoming, answer))
    this.#server.on('connection', () => this.opened++)
  }

  static async before(target: string): Promise<FaultyHttp> {
    const proxy = new FaultyHttp(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Connections that are open. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) => this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #pass(incoming: IncomingMessage, answer: ServerResponse): void {
    const seen = { method: incoming.method ?? '', url: incoming.url ?? '' }
    this.seen.push(seen)
    const fault = this.fault(seen) ?? {}
    if (fault.cutSent === 0) {
      answer.destroy()
      return
    }
    if (fault.answer) {
      incoming
        .resume()
        .on('end', () => answer.writeHead(fault.answer!.status, { 'content-type': 'application/xml' }).end(fault.answer!.body))
      return
    }
    const { hostname, port } = this.#target
    const { method, url: path, headers } = incoming
    const outgoing = request({ hostname, port, method, path, headers, agent: false })
    const cut = () => {
      outgoing.destroy()
      answer.destroy()
    }
    outgoing.on('error', () => answer.destroy())
    outgoing.on('response', (response) => {
      answer.writeHead(response.statusCode!, response.headers)
      response
        .on('error', cut)
        .pipe(after(fault.cutAnswer, cut))
        .pipe(after(fault.stopAnswer, () => undefined))
        .pipe(answer)
    })
    answer.on('close', () => outgoing.destroy())
    incoming.on('error', cut).pipe(after(fault.cutSent, cut)).pipe(outgoing)
  }
}

/** Lets so many bytes pass, then calls `act` and lets nothing pass. */
function after(most: number | undefined, act: () => void): Transform {
  let left = most ?? Infinity
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const passes = chunk.subarray(0, left)
      left -= passes.length
      if (passes.length > 0) this.push(passes)
      if (left > 0) return done()
      // The last bytes go out first.
      setImmediate(act)
    },
  })
}
