import type { Clock } from '../../clock.ts'
import { invalid, MillraceError, notFound } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type { StreamMessage, StreamProducer, StreamState, StreamStorage, StreamWriteOutcome } from '../../store/stream-port.ts'
import { hasEnded, mostForks, plainTraits, type StreamFork, StreamGone } from '../../store/trait-port.ts'
import type { SchemaRegistry } from '../schemas/registry.ts'
import { isJson, mediaType, messagesOf } from './durable-content.ts'

/** Bytes of messages after which a read ends. */
const readBytes = 1024 * 1024
const readMessages = 10_000

/** What a stream is to be created as. */
export interface WantedStream {
  /** Undefined: that of the source of a fork, else bytes. */
  readonly contentType: string | undefined
  /** 0: none. */
  readonly ttlMs: number
  /** 0: none. */
  readonly expiresAt: number
  readonly closed: boolean
  readonly body: Uint8Array
  readonly fork?: { readonly source: string; readonly offset?: number; readonly sub: number }
}

/** A write to a stream. */
export interface DurableWrite {
  /** Undefined when there is no body. */
  readonly contentType: string | undefined
  readonly body: Uint8Array
  readonly closes: boolean
  readonly producer?: StreamProducer
  readonly order?: string
}

/** Messages, and where to go on. */
export interface DurableReading {
  readonly messages: readonly StreamMessage[]
  readonly next: number
  /** There is nothing more now. */
  readonly upToDate: boolean
}

/** What durable streams stand on. */
export interface DurableStreamsOptions {
  readonly streams: StreamStorage
  readonly schemas: SchemaRegistry
  readonly clock: Clock
  /** Bytes of a message at most. */
  readonly payloadLimit: number
  /** Reads JSON without changing its numbers. */
  readonly parse: (text: string) => unknown
}

/** The streams of the engine as the protocol of durable streams knows them: one sequence with a content type, an end, forks. */
export class DurableStreams {
  readonly #streams: StreamStorage
  readonly #schemas: SchemaRegistry
  readonly #clock: Clock
  readonly #payloadLimit: number
  readonly #parse: (text: string) => unknown

  constructor({ streams, schemas, clock, payloadLimit, parse }: DurableStreamsOptions) {
    this.#streams = streams
    this.#schemas = schemas
    this.#payloadLimit = payloadLimit
    this.#clock = clock
    this.#parse = parse
  }

  /**
   * The stream as it is.
   *
   * @param number - which it must be.
   * @throws NOT_FOUND, StreamGone, FAILED_PRECONDITION when it has several partitions.
   */
  async state(scope: Scope, name: string, number?: number): Promise<StreamState> {
    const state = await this.#streams.state(scope, name)
    if (state?.gone) throw new StreamGone(name)
    if (!state || hasEnded(state, this.#clock.now()) || (number !== undefined && state.number !== number)) throw notFound('stream', name)
    if (state.partitions > 1) {
      const message = `The stream '${name}' has ${state.partitions} partitions, and a durable stream is one sequence: read it with the client, or GET /v1/streams/${name}/messages.`
      throw new MillraceError('FAILED_PRECONDITION', message)
    }
    return state
  }

  /**
   * Creates a stream, or finds the same one there already.
   *
   * @throws CONFLICT when there is another one of the name, StreamGone, NOT_FOUND for the source of a fork, VALIDATION
   */
  async create(scope: Scope, name: string, wanted: WantedStream): Promise<{ readonly created: boolean; readonly state: StreamState }> {
    const source = wanted.fork && (await this.#source(scope, wanted.fork.source))
    const contentType = wanted.contentType ?? source?.contentType ?? 'application/octet-stream'
    const known = await this.#streams.state(scope, name)
    if (known && !hasEnded(known, this.#clock.now())) return this.#same(name, known, contentType, wanted, source)
    if (wanted.fork && !source) throw notFound('stream', wanted.fork.source)
    if (source?.gone) throw new MillraceError('CONFLICT', `The stream '${wanted.fork!.source}' was deleted and cannot be forked any more.`)
    if (source && !isSameType(source.contentType, contentType)) throw otherType(wanted.fork!.source, source.contentType, contentType)
    const now = this.#clock.now()
    const body = wanted.body.length === 0 && isJson(contentType) ? emptyList : wanted.body
    const messages = await this.#admitted(scope, name, this.#messagesOf(contentType, body))
    const inherits = source !== undefined && wanted.ttlMs === 0 && wanted.expiresAt === 0
    const ttlMs = inherits ? source.ttlMs : wanted.ttlMs
    const expiresAt = ttlMs > 0 ? now + ttlMs : inherits ? source.expiresAt : wanted.expiresAt
    const fork = source && (await this.#fork(scope, wanted.fork!, source))
    const { created, state } = await this.#streams.create({
      scope,
      stream: name,
      traits: { ...plainTraits, contentType, ttlMs, expiresAt, closed: wanted.closed, fork: fork?.fork },
      messages: [...(fork?.prefix ?? []), ...messages],
      now,
    })
    return created ? { created, state } : this.#same(name, state, contentType, wanted, source)
  }

  /**
   * Adds to a stream, closes it, or both.
   *
   * @throws what the storage refuses; CONFLICT for another content type, VALIDATION for no JSON
   */
  async append(
    scope: Scope,
    name: string,
    state: StreamState,
    write: DurableWrite,
  ): Promise<Exclude<StreamWriteOutcome, { readonly error: MillraceError }>> {
    const { contentType, body, closes, producer, order } = write
    // Of a closed stream the storage tells what became of the write: it may be a repeat.
    if (!state.closed && body.length > 0 && !isSameType(state.contentType, contentType!))
      throw otherType(name, state.contentType, contentType!)
    const given = body.length === 0 ? [] : this.#messagesOf(state.closed ? 'application/octet-stream' : state.contentType, body)
    const messages = state.closed ? given : await this.#admitted(scope, name, given)
    if (body.length > 0 && messages.length === 0) throw invalid('body', 'is an empty list: give one value at least')
    const [outcome] = await this.#streams.write({
      scope,
      stream: name,
      to: state.number,
      batches: [{ messages, producer, closes, order }],
      requestId: '',
      now: this.#clock.now(),
    })
    if ('error' in outcome!) throw outcome.error
    return outcome!
  }

  /** Messages from an offset on, up to a megabyte. */
  async read(scope: Scope, name: string, offset: number): Promise<DurableReading> {
    const messages: StreamMessage[] = []
    let next = offset
    for (let bytes = 0; ; ) {
      const reading = await this.#streams.read(scope, name, 0, { offset: next, maxMessages: readMessages, maxBytes: readBytes - bytes })
      for (const slice of reading.slices) {
        for (const message of slice.messages) {
          messages.push(message)
          bytes += message.payload.length
        }
      }
      next = reading.slices.length > 0 ? reading.next : Math.max(next, reading.latest + 1)
      if (next > reading.latest) return { messages, next: Math.min(next, reading.latest + 1), upToDate: true }
      if (bytes >= readBytes || messages.length >= readMessages) return { messages, next, upToDate: false }
    }
  }

  /** The stream is used: one that ends when it is not, ends later. */
  use(scope: Scope, name: string, state: StreamState): Promise<void> {
    return this.#streams.use(scope, name, state, this.#clock.now())
  }

  /** @throws NOT_FOUND, StreamGone */
  async delete(scope: Scope, name: string): Promise<void> {
    await this.state(scope, name)
    if (!(await this.#streams.delete(scope, name))) throw notFound('stream', name)
  }

  #messagesOf(contentType: string, body: Uint8Array): StreamMessage[] {
    return messagesOf(contentType, body, this.#payloadLimit, this.#parse)
  }

  /** Messages that fit the schema of their stream, when it has one. @throws VALIDATION */
  async #admitted(scope: Scope, name: string, messages: readonly StreamMessage[]): Promise<readonly StreamMessage[]> {
    const guard = messages.length > 0 ? await this.#schemas.guard(scope, 'stream', name) : undefined
    return guard ? guard.admitAll('messages', messages) : messages
  }

  async #source(scope: Scope, name: string): Promise<StreamState | undefined> {
    const source = await this.#streams.state(scope, name)
    return source && !source.gone && hasEnded(source, this.#clock.now()) ? undefined : source
  }

  /** Where a fork begins, and what of the message there is its own already. */
  async #fork(
    scope: Scope,
    { source: name, offset, sub }: NonNullable<WantedStream['fork']>,
    source: StreamState,
  ): Promise<{ readonly fork: StreamFork; readonly prefix: readonly StreamMessage[] }> {
    const at = offset ?? source.next
    if (source.partitions > 1) throw invalid('Stream-Forked-From', `'${name}' has ${source.partitions} partitions; only one can be forked`)
    if (at > source.next) throw invalid('Stream-Fork-Offset', `is behind the end of '${name}'`)
    const depth = (source.fork?.depth ?? 0) + 1
    if (depth > mostForks)
      throw invalid('Stream-Forked-From', `'${name}' is a fork of a fork of … ${mostForks} already; fork one of those before`)
    const fork = { source: source.number, inherited: isJson(source.contentType) ? at + sub : at, sub, depth }
    if (isJson(source.contentType)) {
      if (fork.inherited > source.next) throw invalid('Stream-Fork-Sub-Offset', `${sub} messages do not follow the offset`)
      return { fork, prefix: [] }
    }
    if (sub === 0) return { fork, prefix: [] }
    const { slices } = await this.#streams.read(scope, name, 0, { offset: at, maxMessages: 1, maxBytes: 1 })
    const first = slices[0]?.firstOffset === at ? slices[0].messages[0]! : undefined
    const has = first?.payload.length ?? 0
    if (sub > has) throw invalid('Stream-Fork-Sub-Offset', `${sub} is more than the ${has} bytes that were appended at the offset`)
    return { fork, prefix: [{ ...first!, payload: first!.payload.subarray(0, sub) }] }
  }

  /** The stream that is there, when it is what is wanted. */
  #same(
    name: string,
    state: StreamState,
    contentType: string,
    { ttlMs, expiresAt, closed, fork }: WantedStream,
    source: StreamState | undefined,
  ): { readonly created: false; readonly state: StreamState } {
    if (state.gone) throw new StreamGone(name)
    const inherits = source !== undefined && ttlMs === 0 && expiresAt === 0
    const differs = [
      isSameType(state.contentType, contentType) ? '' : 'content type',
      inherits || (state.ttlMs === ttlMs && (ttlMs > 0 || state.expiresAt === expiresAt)) ? '' : 'end',
      state.closed === closed ? '' : 'closure',
      isSameFork(state, fork, source) ? '' : 'source',
      state.partitions === 1 ? '' : 'number of partitions',
    ].filter((what) => what !== '')
    if (differs.length === 0) return { created: false, state }
    throw new MillraceError('CONFLICT', `There is a stream '${name}' already, with another ${differs.join(' and ')}.`)
  }
}

const emptyList = Buffer.from('[]')

function isSameFork({ fork, contentType }: StreamState, wanted: WantedStream['fork'], source: StreamState | undefined): boolean {
  if (!fork || !wanted) return fork === undefined && wanted === undefined
  if (fork.source !== source?.number || fork.sub !== wanted.sub) return false
  return wanted.offset === undefined || fork.inherited === wanted.offset + (isJson(contentType) ? wanted.sub : 0)
}

function isSameType(one: string, other: string): boolean {
  return mediaType(one || 'application/json') === mediaType(other || 'application/json')
}

function otherType(name: string, has: string, given: string): MillraceError {
  return new MillraceError(
    'CONFLICT',
    `The content type of the stream '${name}' is ${has || 'application/json'}, not ${given.slice(0, 100)}.`,
  )
}
