import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { Principal } from '../../domain/keys/principal.ts'
import type { RateStatus } from '../../domain/keys/rate-limits.ts'
import type { RequiredScope } from '../../services/method-scopes.ts'
import type { Scope } from '../../store/ports.ts'
import { type AdmissionOptions, AdmittedCall, admit } from '../admission.ts'
import { requestIdHeader, requestIdOf } from '../request-id.ts'
import { acceptedCoding, compress } from './compress.ts'

/** What exchanges stand on. */
export interface ExchangeOptions extends AdmissionOptions {
  readonly logger: Logger
}

/** One request and its answer. */
export class HttpExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  readonly logger: Logger
  /** The path as it came, percent-encoded, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** What the request turned out to be, for logs and counts: `TaskService/SubmitTask`; '' until it is known. */
  method = ''
  /** The answer is a stream of events. */
  isStream = false
  readonly #options: ExchangeOptions
  #gone: AbortController | undefined
  #call: AdmittedCall | undefined

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    this.request = request
    this.response = response
    this.logger = options.logger
    this.#options = options
    this.requestId = requestIdOf(this.header(requestIdHeader))
    response.setHeader(requestIdHeader, this.requestId)
    // A proxy's request names the whole URL.
    const target = (request.url ?? '/').replace(/^https?:\/\/[^/?#]*/i, '')
    const end = target.indexOf('?')
    this.path = end < 0 ? target : target.slice(0, end)
    this.query = new URLSearchParams(end < 0 ? '' : target.slice(end + 1))
  }

  /** A header of the request, by its name in lower case; of several, the first. */
  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  /** True for GET and HEAD. */
  get isRead(): boolean {
    return this.request.method === 'GET' || this.request.method === 'HEAD'
  }

  /** Aborts when the peer is gone before it has the answer. */
  get gone(): AbortSignal {
    if (!this.#gone) {
      const controller = new AbortController()
      this.#gone = controller
      const end = (): void => {
        if (!this.response.writableFinished) controller.abort()
      }
      if (this.response.closed) end()
      else this.response.once('close', end)
    }
    return this.#gone.signal
  }

  /**
   * Lets the caller in: checks its key, the key's limit, its scope and its namespace.
   *
   * @param required - what the request needs.
   * @throws UNAUTHENTICATED, RATE_LIMITED, PERMISSION_DENIED, VALIDATION
   */
  async admit(required: RequiredScope): Promise<AdmittedCall> {
    const { requestId } = this
    const header = (name: string): string | undefined => this.header(name)
    const limited = ({ limit, remaining, resetMs }: RateStatus): void => {
      this.response.setHeader('ratelimit-limit', limit)
      this.response.setHeader('ratelimit-remaining', remaining)
      this.response.setHeader('ratelimit-reset', Math.ceil(resetMs / 1000))
    }
    this.#call = await admit(this.#options, { requestId, header, required, gone: () => this.gone, limited })
    return this.#call
  }

  /** Lets in a caller whose right to come has been checked otherwise: the limit of the key that answers for it counts. */
  admitAs(principal: Principal, scope: Scope): AdmittedCall {
    if (principal.key.rateLimit > 0) this.#options.rateLimits.take(principal.key)
    const { requestId } = this
    this.#call = new AdmittedCall(this.#options.lifetimes, { requestId, gone: () => this.gone }, principal, scope)
    return this.#call
  }

  /** Ends what was opened for the request. */
  close(): void {
    this.#call?.close()
  }

  /**
   * Answers with a text or bytes, compressed when it is worth it and the caller takes it.
   *
   * @param body - the whole answer.
   */
  async send(status: number, contentType: string, body: string | Buffer, headers: OutgoingHttpHeaders = {}): Promise<void> {
    const { response } = this
    if (response.destroyed || response.headersSent) return
    const coding = acceptedCoding(this.header('accept-encoding'), body.length)
    const bytes = coding ? await compress(coding, body) : Buffer.from(body)
    if (coding) response.setHeader('content-encoding', coding)
    response.appendHeader('vary', 'accept-encoding')
    response.writeHead(status, { 'content-type': contentType, 'content-length': bytes.length, ...headers })
    response.end(this.request.method === 'HEAD' ? undefined : bytes)
  }
}
