import type { Clock } from '../../../clock.ts'
import type { SchemaRegistry } from '../../../domain/schemas/registry.ts'
import { DurableStreams } from '../../../domain/streams/durable.ts'
import type { StreamEngine } from '../../../domain/streams/engine.ts'
import { invalid } from '../../../errors.ts'
import type { StreamState, StreamStorage } from '../../../store/stream-port.ts'
import { StreamGone } from '../../../store/trait-port.ts'
import type { AdmittedCall } from '../../admission.ts'
import { EventStreams } from '../event-streams.ts'
import type { HttpExchange } from '../exchange.ts'
import { HttpError } from '../http-error.ts'
import { parseExact, readBody } from '../read-body.ts'
import type { HttpMount } from '../server.ts'
import { sendEvents } from './events.ts'
import { endHeaders, locationOf, prefix, readWanted, readWrite, refusalOf, stateHeaders, streamOf } from './headers.ts'
import { offsetText } from './offsets.ts'
import { catchUp, longPoll, readStart } from './reading.ts'

/** What the mount stands on. */
export interface DurableStreamsMountOptions {
  readonly streams: StreamStorage
  readonly engine: StreamEngine
  readonly schemas: SchemaRegistry
  readonly clock: Clock
  /** Bytes of a message at most. */
  readonly payloadLimit: number
}

/** Bytes a body may have beyond one message. */
const batchRoom = 12 * 1024 * 1024

/**
 * The protocol of durable streams over the streams of the caller's namespace.
 * Source: https://github.com/durable-streams/durable-streams/blob/main/PROTOCOL.md
 */
export class DurableStreamsMount implements HttpMount {
  readonly #durable: DurableStreams
  readonly #engine: StreamEngine
  readonly #clock: Clock
  readonly #bodyLimit: number
  readonly #open: EventStreams

  constructor({ streams, engine, schemas, clock, payloadLimit }: DurableStreamsMountOptions) {
    this.#durable = new DurableStreams({ streams, schemas, clock, payloadLimit, parse: parseExact })
    this.#engine = engine
    this.#clock = clock
    this.#bodyLimit = payloadLimit + batchRoom
    this.#open = new EventStreams(clock)
  }

  serves(path: string): boolean {
    return path.startsWith(prefix)
  }

  async handle(exchange: HttpExchange): Promise<void> {
    const { response } = exchange
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('cross-origin-resource-policy', 'cross-origin')
    const verb = exchange.request.method ?? ''
    const found = verbs[verb]
    if (!found) {
      const allow = Object.keys(verbs).join(', ')
      throw new HttpError(405, 'VALIDATION', `${exchange.path} takes ${allow}, not ${verb}.`, { headers: { allow } })
    }
    exchange.method = `DurableStreams/${found.name}`
    const call = await exchange.admit(found.isRead ? 'streams:read' : 'streams:write')
    const name = streamOf(exchange.path)
    try {
      if (verb === 'PUT') await this.#create(exchange, call, name)
      else if (verb === 'POST') await this.#append(exchange, call, name)
      else if (verb === 'DELETE') await this.#delete(exchange, call, name)
      else if (verb === 'HEAD') await this.#head(exchange, call, name)
      else await this.#read(exchange, call, name)
    } catch (error) {
      throw error instanceof StreamGone ? refusalOf(error, undefined) : error
    }
  }

  async #create(exchange: HttpExchange, { scope }: AdmittedCall, name: string): Promise<void> {
    const wanted = readWanted(exchange)
    const body = await readBody(exchange, this.#bodyLimit)
    try {
      const { created, state } = await this.#durable.create(scope, name, { ...wanted, body })
      const location = created ? { location: locationOf(exchange) } : {}
      exchange.response
        .writeHead(created ? 201 : 200, { ...stateHeaders(state), ...endHeaders(state), ...location, 'content-length': 0 })
        .end()
    } catch (error) {
      throw error instanceof StreamGone ? new HttpError(409, 'CONFLICT', error.message) : error
    }
  }

  async #append(exchange: HttpExchange, { scope }: AdmittedCall, name: string): Promise<void> {
    const write = readWrite(exchange)
    const body = await readBody(exchange, this.#bodyLimit)
    const state = await this.#durable.state(scope, name)
    if (body.length === 0 && !write.closes)
      throw invalid('body', 'is empty: send what to append, or Stream-Closed: true to close the stream')
    if (body.length > 0 && !write.contentType) throw invalid('Content-Type', 'is missing: give that of the stream')
    const { producer } = write
    try {
      const { offsets, repeatOf } = await this.#durable.append(scope, name, state, { ...write, body })
      const after =
        offsets.length > 0 && repeatOf === undefined
          ? { ...state, next: offsets.at(-1)! + 1, closed: write.closes }
          : await this.#durable.state(scope, name)
      const isNew = producer && repeatOf === undefined && body.length > 0
      const headers = {
        'stream-next-offset': offsetText(after.next),
        ...(after.closed ? { 'stream-closed': 'true' } : {}),
        ...(producer ? { 'producer-epoch': String(producer.epoch), 'producer-seq': String(repeatOf ?? producer.seq) } : {}),
      }
      exchange.response.writeHead(isNew ? 200 : 204, isNew ? { ...headers, 'content-length': 0 } : headers).end()
    } catch (error) {
      throw refusalOf(error, await this.#durable.state(scope, name).catch(() => undefined), write)
    }
  }

  async #delete(exchange: HttpExchange, { scope }: AdmittedCall, name: string): Promise<void> {
    await this.#durable.delete(scope, name)
    exchange.response.writeHead(204).end()
  }

  async #head(exchange: HttpExchange, { scope }: AdmittedCall, name: string): Promise<void> {
    const state = await this.#durable.state(scope, name)
    exchange.response.writeHead(200, { ...stateHeaders(state), ...endHeaders(state), 'cache-control': 'no-store' }).end()
  }

  async #read(exchange: HttpExchange, call: AdmittedCall, name: string): Promise<void> {
    const live = exchange.query.get('live')
    if (live !== null && live !== 'long-poll' && live !== 'sse') throw invalid('live', 'is neither long-poll nor sse')
    const state: StreamState = await this.#durable.state(call.scope, name)
    const reader = { exchange, call, name, state, from: readStart(exchange, state), cursor: exchange.query.get('cursor') }
    const reading = { durable: this.#durable, engine: this.#engine, clock: this.#clock }
    await this.#durable.use(call.scope, name, state)
    if (live === 'sse') await sendEvents(reading, this.#open, reader)
    else if (live === 'long-poll') await longPoll(reading, reader)
    else await catchUp(reading, reader)
  }
}

const verbs: Readonly<Record<string, { readonly name: string; readonly isRead: boolean }>> = {
  PUT: { name: 'Create', isRead: false },
  POST: { name: 'Append', isRead: false },
  GET: { name: 'Read', isRead: true },
  HEAD: { name: 'Head', isRead: true },
  DELETE: { name: 'Delete', isRead: false },
}
