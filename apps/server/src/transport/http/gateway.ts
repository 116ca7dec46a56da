import { createHash } from 'node:crypto'
import { httpBindings, toJson, toProblem } from '@millrace/protocol/http'
import type { Clock } from '../../clock.ts'
import type { AdmittedCall } from '../admission.ts'
import { errorDetails, isAbort } from '../error-details.ts'
import type { ServedMethod } from '../service.ts'
import { type EventNumbers, eventNumbers } from './event-numbers.ts'
import { EventStreams, eventText } from './event-streams.ts'
import type { HttpExchange } from './exchange.ts'
import { HttpError } from './http-error.ts'
import { parseExact } from './read-body.ts'
import { readRequest } from './read-request.ts'
import { type Match, Routes, type ServedRoute } from './routes.ts'

/** How long an answer waits for the first event or a refusal, in milliseconds; then the stream begins without. */
const firstEventMs = 100

/** What the gateway stands on. */
export interface GatewayOptions {
  readonly methods: readonly ServedMethod[]
  readonly clock: Clock
  /** Bytes of a body at most. */
  readonly bodyLimit: number
}

/** Serves every method that has a route: those with one answer as REST, streams as server-sent events. */
export class Gateway {
  /** The routes. */
  readonly routes: Routes
  readonly #streams: EventStreams
  readonly #clock: Clock
  readonly #bodyLimit: number
  readonly #numbers = new Map<ServedRoute, EventNumbers>()

  constructor({ methods, clock, bodyLimit }: GatewayOptions) {
    this.routes = new Routes(httpBindings, methods)
    this.#streams = new EventStreams(clock)
    this.#clock = clock
    this.#bodyLimit = bodyLimit
    for (const served of this.routes.all) {
      if (served.route[4] !== undefined) this.#numbers.set(served, eventNumbers(served.route))
    }
  }

  /** Open streams of events. */
  get streams(): number {
    return this.#streams.size
  }

  /**
   * Carries out a request.
   *
   * @throws MillraceError when it is refused, before anything is answered.
   */
  async handle(exchange: HttpExchange): Promise<void> {
    const verb = exchange.request.method === 'HEAD' ? 'GET' : (exchange.request.method ?? '')
    const match = this.routes.match(verb, exchange.path)
    if (!match) {
      const message = `There is nothing at ${exchange.path}. The routes are in /openapi.json.`
      throw new HttpError(404, 'NOT_FOUND', message, { details: { resource: 'route', id: exchange.path } })
    }
    if (!('found' in match)) {
      const allow = match.join(', ')
      throw new HttpError(405, 'VALIDATION', `${exchange.path} takes ${allow}, not ${verb}.`, { headers: { allow } })
    }
    const { method } = match.found
    exchange.method = method.path
    // Before the body is read: who has no key cannot make the server hold megabytes.
    const call = await exchange.admit(method.required)
    const numbers = this.#numbers.get(match.found)
    exchange.isStream = numbers !== undefined
    if (numbers) await this.#stream(exchange, match, call, numbers)
    else await this.#answer(exchange, match, call)
  }

  async #answer(exchange: HttpExchange, match: Match, call: AdmittedCall): Promise<void> {
    const { route, method } = match.found
    const request = await readRequest(exchange, match, this.#bodyLimit)
    const body = writeJson(route[3], await method.run(request as never, call))
    if (!exchange.isRead) return exchange.send(200, 'application/json', body, { 'cache-control': 'no-store' })
    const etag = `W/"${createHash('sha1').update(body).digest('base64url')}"`
    const headers = { etag, 'cache-control': 'private, no-cache' }
    const known = exchange.header('if-none-match')
    if (known?.split(/ *, */).includes(etag)) exchange.response.writeHead(304, headers).end()
    else await exchange.send(200, 'application/json', body, headers)
  }

  async #stream(exchange: HttpExchange, match: Match, call: AdmittedCall, numbers: EventNumbers): Promise<void> {
    const { route, method } = match.found
    const { response } = exchange
    const request = (await readRequest(exchange, match, this.#bodyLimit)) as object
    const isResumed = numbers.resume(exchange, request)
    const events = (method.run(request as never, call) as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    // A call that nobody waits for any more ends when its next message comes, or its signal tells it.
    call.signal.addEventListener('abort', () => void events.return?.()?.then(undefined, () => undefined), { once: true })
    let next = events.next()
    const early = await this.#early(next)
    if (early?.done && isResumed) {
      // Nothing is left for a reader that comes again: this status tells it to stay away.
      response.writeHead(204, { 'cache-control': 'no-store' }).end()
      return
    }
    const stream = this.#streams.begin(response)
    try {
      for (;;) {
        const { value, done } = await next
        if (done) break
        response.write(eventText({ id: numbers.idOf(value), data: writeJson(route[3], value) }))
        if (response.writableNeedDrain) await stream.taken()
        next = events.next()
      }
      response.end(eventText({ event: 'end', data: '{}' }))
    } catch (error) {
      if (exchange.gone.aborted || isAbort(error)) response.destroy()
      else {
        const details = errorDetails(error, exchange.requestId, method.path, exchange.logger)
        response.end(eventText({ event: 'problem', data: JSON.stringify(toProblem(details)) }))
      }
    } finally {
      this.#streams.forget(stream)
      await events.return?.()
    }
  }

  /** The first event, when it comes soon; a refusal is thrown while the answer still has a status. */
  #early<T>(first: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.timer(firstEventMs, () => resolve(undefined))
      first.then(resolve, reject).finally(cancel)
    })
  }
}

function writeJson(shape: Parameters<typeof toJson>[0], message: unknown): string {
  try {
    return JSON.stringify(toJson(shape, message, { parse: parseExact }))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    // A payload that is nested too deeply to be written goes as the bytes that it is.
    const refuse = (): never => {
      throw error
    }
    return JSON.stringify(toJson(shape, message, { parse: refuse }))
  }
}
