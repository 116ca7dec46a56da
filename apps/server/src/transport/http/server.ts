import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { toProblem } from '@millrace/protocol/http'
import type { Clock } from '../../clock.ts'
import type { Address } from '../../config/values.ts'
import { MillraceError } from '../../errors.ts'
import { errorDetails, isAbort } from '../error-details.ts'
import { requestIdHeader, requestIdOf } from '../request-id.ts'
import { methodsOf, type Service } from '../service.ts'
import type { TlsFiles } from '../tls.ts'
import { answerCors } from './cors.ts'
import { type ExchangeOptions, HttpExchange } from './exchange.ts'
import { Gateway } from './gateway.ts'
import { HttpError } from './http-error.ts'
import { createPages, type PageOptions } from './pages.ts'

/** Bytes a body may have beyond one payload in base64: the room of a batch. */
const batchRoom = 28 * 1024 * 1024

/** Bounds of a request, so that a slow or endless one holds nothing for long. Times in milliseconds. */
const requestBounds: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  // Of an object it takes as long as it takes: who reads a body bounds its time.
  requestTimeout: 0,
  connectionsCheckingInterval: 2000,
  // Longer than the idle time of common proxies, so that they close first and never send into a closing connection.
  keepAliveTimeout: 65_000,
  keepAlive: true,
  noDelay: true,
}

/**
 * Something that answers paths beside the routes of the contract: protocols whose bodies are no messages. It lets callers
 * in with {@link HttpExchange.admit}; what it throws becomes the same errors as everywhere.
 */
export interface HttpMount {
  /** True for paths that it answers. */
  serves(path: string): boolean
  /** Answers a request. */
  handle(exchange: HttpExchange): Promise<void>
}

/** What an HTTP server is made of. */
export interface HttpServerOptions extends ExchangeOptions, PageOptions {
  readonly address: Address
  readonly tls?: TlsFiles
  readonly payloadLimit: number
  readonly services: readonly Service[]
  readonly clock: Clock
  /** Origins whose pages may call; `*` for any. */
  readonly origins: readonly string[]
  /** What answers beside the contract's routes. */
  readonly mounts?: readonly HttpMount[]
}

/** How long a body is read that was refused, in milliseconds. */
const dropMs = 5000

/** An HTTP server that listens. */
export interface HttpServer {
  /** The port it got. */
  readonly port: number
  /** Takes no more connections and resolves when the requests in flight are over, at the latest after `graceMs`; then it ends them. */
  stop(graceMs: number): Promise<void>
}

/**
 * Starts serving.
 *
 * @throws Error when the address cannot be listened on or a file of TLS cannot be read.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { address, clock, origins, metrics, mounts = [] } = options
  const bodyLimit = Math.ceil((options.payloadLimit * 4) / 3) + batchRoom
  const gateway = new Gateway({ methods: methodsOf(options.services), clock, bodyLimit })
  const pages = createPages(options)
  const answer = (exchange: HttpExchange): Promise<void> => {
    const page = pages.get(exchange.path)
    if (page) return page(exchange)
    return (mounts.find((mount) => mount.serves(exchange.path)) ?? gateway).handle(exchange)
  }

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const exchange = new HttpExchange(request, response, options)
    const begun = performance.now()
    let failure: unknown
    try {
      if (answerCors(exchange, origins)) return
      await answer(exchange)
    } catch (error) {
      failure = error
      await sendProblem(exchange, error)
    } finally {
      exchange.close()
      const ms = performance.now() - begun
      if (exchange.method !== '') metrics.called('http', exchange.method, codeOf(exchange, failure), exchange.isStream ? undefined : ms)
      log(exchange, ms, failure)
    }
  }

  const server = await createNodeServer(options.tls)
  let isStopping = false
  // Connections without a request so far, as browsers open them ahead: Node does not count them as idle.
  const unused = new Set<Socket>()
  server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  server.on('request', (request, response) => {
    unused.delete(request.socket)
    // A connection that would be kept for the next call holds a server that stops.
    response.once('finish', () => {
      if (isStopping) setImmediate(() => server.closeIdleConnections())
    })
    // What fails here fails for a fault of ours in the answering itself; the connection is all that is left to end.
    serve(request, response).catch((err: unknown) => {
      options.logger.error({ err }, 'a request could not be answered')
      response.destroy()
    })
  })
  server.on('clientError', answerMalformed)
  const connections = promisify<number>((done) => server.getConnections(done))
  metrics.gauge('millrace_http_connections', 'Open HTTP connections.', () => connections())
  metrics.gauge('millrace_http_streams', 'Open streams of events over HTTP.', () => gateway.streams)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  setImmediate(() => void metrics.load())
  const { port } = server.address() as { readonly port: number }
  return {
    port,
    async stop(graceMs) {
      isStopping = true
      const cancel = clock.timer(graceMs, () => server.closeAllConnections())
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      // Those that have begun to say something are in flight; those that were answered that it is no HTTP are over.
      for (const socket of unused) if (socket.bytesRead === 0 || !socket.writable) socket.destroy()
      await closed
      cancel()
    },
  }
}

async function createNodeServer(tls: TlsFiles | undefined): Promise<Server> {
  if (!tls) return createServer(requestBounds)
  // One after the other, so that the error of a start always names the first file that is wrong.
  const cert = await readFile(tls.cert)
  const key = await readFile(tls.key)
  const ca = tls.clientCa ? await readFile(tls.clientCa) : undefined
  return createSecureServer({ ...requestBounds, cert, key, ca, requestCert: ca !== undefined, rejectUnauthorized: ca !== undefined })
}

async function sendProblem(exchange: HttpExchange, error: unknown): Promise<void> {
  const { response, request, requestId } = exchange
  if (exchange.gone.aborted || isAbort(error) || response.headersSent) {
    response.destroy()
    return
  }
  const details = errorDetails(error, requestId, exchange.method || exchange.path, exchange.logger)
  const problem = toProblem(details, error instanceof HttpError ? error.status : undefined)
  if (problem.retryAfter !== undefined) response.setHeader('retry-after', Math.ceil(problem.retryAfter))
  if (problem.status === 401) response.setHeader('www-authenticate', 'Bearer')
  if (!request.complete) dropBody(request)
  const headers = { 'cache-control': 'no-store', ...(error instanceof HttpError ? error.headers : {}) }
  await exchange.send(problem.status, 'application/problem+json', JSON.stringify(problem), headers)
}

/**
 * Reads what is left of a body that nobody wants, for a while: whoever still sends when the connection is closed hears of a
 * broken one, and not what was answered.
 */
function dropBody(request: IncomingMessage): void {
  const end = setTimeout(() => request.socket.destroy(), dropMs)
  request.once('close', () => clearTimeout(end))
  request.resume()
}

/** Answers bytes that are no HTTP, or headers that are too long or too slow. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const isLong = error.code === 'HPE_HEADER_OVERFLOW'
  const isSlow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const [status, phrase] = isLong ? [431, 'Request Header Fields Too Large'] : isSlow ? [408, 'Request Timeout'] : [400, 'Bad Request']
  const message = isLong
    ? 'The headers are too long: at most 16 KiB are allowed.'
    : isSlow
      ? 'The request took too long to arrive.'
      : 'The request is not valid HTTP.'
  const requestId = requestIdOf(undefined)
  const body = JSON.stringify(toProblem({ reason: 'VALIDATION', message, requestId }, status))
  const headers = [
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `${requestIdHeader}: ${requestId}`,
    'connection: close',
  ]
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\n${headers.join('\r\n')}\r\n\r\n${body}`)
}

/** How a call ended, in the words of the error table. */
function codeOf({ response }: HttpExchange, failure: unknown): string {
  if (failure instanceof MillraceError) return failure.reason
  return failure !== undefined ? 'INTERNAL' : response.writableFinished || response.writableEnded ? 'OK' : 'CANCELLED'
}

function log(exchange: HttpExchange, took: number, failure: unknown): void {
  const { logger, request, response, requestId, method, path } = exchange
  if (!logger.isLevelEnabled('debug')) return
  const ms = Math.round(took * 1000) / 1000
  const error = failure instanceof Error ? failure.message : undefined
  const peer = `${request.socket.remoteAddress}:${request.socket.remotePort}`
  logger.debug({ method: method || `${request.method} ${path}`, requestId, ms, peer, status: response.statusCode, error }, 'call')
}
