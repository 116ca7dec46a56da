import { AbortError, MillraceError } from '@millrace/core'
import {
  type Clock,
  type CompiledOptions,
  errorFrom,
  errorFromDetails,
  type FollowEvents,
  type FollowSource,
  invalid,
  noAnswer,
  type RawCall,
  type RawRequest,
  type RequestOf,
  type ResponseOf,
  type ServerStreamMethod,
  SetSource,
  type Transport,
  type TransportCall,
  type UnaryMethod,
  unavailable,
} from '@millrace/core/adapter'
import { fromJson, fromProblem, type HttpRoute, toHttpRequest } from '@millrace/protocol/http'
import { readEvents } from './event-stream.ts'
import { watchHeartbeat } from './heartbeat.ts'

/** A call under way. */
interface OpenCall extends RawCall {
  readonly controller: AbortController
}

/** Carries calls over HTTP: JSON for single answers, server-sent events for many. */
export class HttpTransport implements Transport {
  readonly #options: CompiledOptions
  readonly #routes: ReadonlyMap<string, HttpRoute>
  readonly #clock: Clock
  readonly #endpoints: readonly string[]
  readonly #open = new Set<AbortController>()
  /** The endpoint in use. */
  #turn = 0
  #closed = false

  constructor(options: CompiledOptions, routes: ReadonlyMap<string, HttpRoute>, clock: Clock) {
    this.#options = options
    this.#endpoints = options.endpoint.split(',')
    this.#routes = routes
    this.#clock = clock
  }

  async unary<P extends UnaryMethod>(method: P, request: RequestOf<P>, options: TransportCall): Promise<ResponseOf<P>> {
    const route = this.#route(method)
    const call = this.begin(options)
    try {
      return fromJson(route[3], await (await send(call, route, request, 'application/json')).json())
    } catch (thrown) {
      throw call.failure(thrown)
    } finally {
      call.close()
    }
  }

  async *serverStream<P extends ServerStreamMethod>(
    method: P,
    request: RequestOf<P>,
    options: TransportCall,
  ): AsyncGenerator<ResponseOf<P>, void, undefined> {
    const route = this.#route(method)
    const call = this.begin(options)
    let retryAfterMs: number | undefined
    const broken = (message: string): MillraceError => unavailable(message, { retryAfterMs })
    const heartbeat = watchHeartbeat(this.#clock, this.#options.keepalive, (silentMs) =>
      call.controller.abort(broken(`The server was silent for ${silentMs} ms.`)),
    )
    try {
      const reader = (await send(call, route, request, 'text/event-stream')).body!.getReader()
      const retry = (ms: number): void => {
        retryAfterMs = ms
      }
      for await (const { type, data } of readEvents(reader, { alive: heartbeat.alive, retry })) {
        const json: unknown = JSON.parse(data)
        if (type === 'problem') throw errorFromDetails(fromProblem(500, json))
        if (type === 'end') return
        yield fromJson(route[3], json)
        // A slow reader is no silent server.
        heartbeat.alive()
      }
      throw broken('The stream of events broke off.')
    } catch (thrown) {
      throw call.failure(thrown)
    } finally {
      heartbeat.stop()
      call.close()
    }
  }

  follow(events: FollowEvents, clock: Clock): FollowSource {
    return new SetSource(this, events, clock)
  }

  /** There is no connection to wait for: whoever asks makes a call next. */
  async ready(): Promise<void> {}

  async close(): Promise<void> {
    this.#closed = true
    for (const controller of this.#open) controller.abort(closedError())
  }

  #route<P extends UnaryMethod | ServerStreamMethod>(method: P): HttpRoute<RequestOf<P>, ResponseOf<P>> {
    return this.#routes.get(method) as HttpRoute<RequestOf<P>, ResponseOf<P>>
  }

  /** Begins a call of any kind. */
  begin({ signal, timeoutMs }: TransportCall): OpenCall {
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(new AbortError(signal?.reason))
    signal?.addEventListener('abort', onAbort)
    const cancelTimer = timeoutMs === undefined ? undefined : this.#clock.timer(timeoutMs, () => controller.abort(noAnswer(timeoutMs)))
    this.#open.add(controller)
    if (signal?.aborted) onAbort()
    if (this.#closed) controller.abort(closedError())
    return {
      controller,
      fetch: (request) => this.#fetch(request, controller.signal),
      failure: (thrown) => {
        const error =
          thrown instanceof MillraceError ? thrown : controller.signal.aborted ? errorFrom(controller.signal.reason) : noConnection(thrown)
        // The next call tries another server.
        if (error.code === 'UNAVAILABLE') this.#turn = (this.#turn + 1) % this.#endpoints.length
        return error
      },
      close: () => {
        cancelTimer?.()
        signal?.removeEventListener('abort', onAbort)
        this.#open.delete(controller)
        // Lets go of an answer that is not read to its end.
        controller.abort()
      },
    }
  }

  /** What every request has in common. */
  async #fetch({ verb, path, headers, body }: RawRequest, signal: AbortSignal): Promise<Response> {
    const secret = await untilAborted(this.#options.credentials.get(), signal)
    const own = { 'millrace-namespace': this.#options.namespace, ...(secret !== undefined && { authorization: `Bearer ${secret}` }) }
    const response = await fetch(this.#endpoints[this.#turn]! + path, { method: verb, headers: { ...headers, ...own }, body, signal })
    // 304 is what somebody asked for who has an older answer.
    if (response.ok || response.status === 304) return response
    const details = fromProblem(response.status, await response.json().catch(() => undefined))
    throw errorFromDetails({ ...details, requestId: details.requestId ?? response.headers.get('request-id') ?? undefined })
  }
}

/** Makes a call whose request and answers are messages; resolves with a good answer. */
async function send<Req>(call: OpenCall, route: HttpRoute<Req>, request: Req, accept: string): Promise<Response> {
  const { verb, path, body } = write(route, request)
  const headers = { accept, ...(body !== undefined && { 'content-type': 'application/json' }) }
  // Nothing is no JSON, and no body.
  const response = await call.fetch({ verb, path, headers, body: JSON.stringify(body) })
  if (response.headers.get('content-type')?.startsWith(accept)) return response
  throw unavailable(`The answer of ${response.url} is not ${accept}: is a Millrace server there?`)
}

/** A call as HTTP carries it. */
function write<Req>(route: HttpRoute<Req>, message: Req): ReturnType<typeof toHttpRequest> {
  try {
    return toHttpRequest(route, message)
  } catch (thrown) {
    const [path = '', what = ''] = (thrown as Error).message.split(': ')
    throw invalid(path, what)
  }
}

/** Waits no longer than the call. */
function untilAborted<T>(value: T | Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    Promise.resolve(value).then(resolve, reject)
  })
}

/** The network, the server or something in between broke the call. */
function noConnection(cause: unknown): MillraceError {
  const message = `The call broke: ${cause instanceof Error ? cause.message : String(cause)}. Does the server run there, and may this page call it?`
  return unavailable(message, { cause })
}

function closedError(): MillraceError {
  return unavailable('This client is closed.')
}
