import type { TLSSocket } from 'node:tls'
import type { DurableWrite, WantedStream } from '../../../domain/streams/durable.ts'
import { MillraceError } from '../../../errors.ts'
import { Checks } from '../../../services/checks.ts'
import { limits } from '../../../services/limits.ts'
import type { StreamProducer, StreamState } from '../../../store/stream-port.ts'
import { ProducerRefusal, StreamClosed, StreamGone } from '../../../store/trait-port.ts'
import type { HttpExchange } from '../exchange.ts'
import { HttpError } from '../http-error.ts'
import { offsetText, readOffset } from './offsets.ts'

/** What the paths of durable streams begin with. */
export const prefix = '/v1/durable-streams/'

/**
 * The stream that a path names.
 *
 * @throws VALIDATION
 */
export function streamOf(path: string, field = 'stream'): string {
  const checks = new Checks()
  let name = ''
  try {
    name = decodeURIComponent(path.startsWith(prefix) ? path.slice(prefix.length) : path.replace(/^\//, ''))
  } catch {
    checks.fail(field, 'is not percent-encoded text')
  }
  checks.name(field, name)
  checks.done()
  return name
}

/**
 * What is to be created.
 *
 * @throws VALIDATION
 */
export function readWanted(exchange: HttpExchange): Omit<WantedStream, 'body'> {
  const checks = new Checks()
  const ttl = exchange.header('stream-ttl')
  const end = exchange.header('stream-expires-at')
  const seconds = ttl === undefined ? 0 : /^(0|[1-9]\d{0,9})$/.test(ttl) ? Number(ttl) : Number.NaN
  if (ttl !== undefined && end !== undefined) checks.fail('Stream-TTL', 'and Stream-Expires-At are both given; give one')
  if (ttl !== undefined) checks.integer('Stream-TTL', seconds, 1, limits.ttl / 1000)
  const expiresAt = end === undefined ? 0 : /^\d{4}-\d\d-\d\dT/.test(end) ? Date.parse(end) : Number.NaN
  if (!(expiresAt >= 0)) checks.fail('Stream-Expires-At', 'is not a time as RFC 3339 writes it: 2030-01-31T12:00:00Z')
  const source = exchange.header('stream-forked-from')
  const sub = exchange.header('stream-fork-sub-offset')
  const offset = exchange.header('stream-fork-offset')
  for (const [name, value] of [
    ['Stream-Fork-Offset', offset],
    ['Stream-Fork-Sub-Offset', sub],
  ] as const) {
    if (value !== undefined && source === undefined) checks.fail(name, 'needs Stream-Forked-From')
  }
  if (sub !== undefined && !/^(0|[1-9]\d{0,14})$/.test(sub)) checks.fail('Stream-Fork-Sub-Offset', 'is not a whole number from 0 on')
  const given = exchange.header('content-type')?.trim() ?? ''
  const contentType = /^[\w.+-]+\/[\w.+-]+/.test(given) ? given : undefined
  if (contentType) checks.text('Content-Type', contentType, limits.text)
  checks.done()
  const fork =
    source === undefined
      ? undefined
      : {
          source: streamOf(source.replace(/^https?:\/\/[^/]*/, ''), 'Stream-Forked-From'),
          offset: offset === undefined ? undefined : readOffset('Stream-Fork-Offset', offset),
          sub: Number(sub ?? 0),
        }
  const ttlMs = seconds * 1000
  return {
    contentType: contentType ?? (fork ? undefined : 'application/octet-stream'),
    ttlMs,
    expiresAt,
    closed: isClosing(exchange),
    fork,
  }
}

/**
 * What is to be written.
 *
 * @throws VALIDATION
 */
export function readWrite(exchange: HttpExchange): Omit<DurableWrite, 'body'> {
  const order = exchange.header('stream-seq')
  const checks = new Checks()
  checks.text('Stream-Seq', order ?? '', limits.text)
  checks.done()
  return { contentType: exchange.header('content-type'), closes: isClosing(exchange), producer: readProducer(exchange), order }
}

function readProducer(exchange: HttpExchange): StreamProducer | undefined {
  const id = exchange.header('producer-id')
  const epoch = exchange.header('producer-epoch')
  const seq = exchange.header('producer-seq')
  if (id === undefined && epoch === undefined && seq === undefined) return undefined
  const checks = new Checks()
  for (const [name, value] of [
    ['Producer-Id', id],
    ['Producer-Epoch', epoch],
    ['Producer-Seq', seq],
  ] as const) {
    if (value === undefined) checks.fail(name, 'is missing: Producer-Id, Producer-Epoch and Producer-Seq belong together')
    else if (value === '') checks.fail(name, 'is empty')
    else if (name !== 'Producer-Id' && !(/^\d{1,16}$/.test(value) && Number.isSafeInteger(Number(value)))) {
      checks.fail(name, 'is not a whole number from 0 to 2^53 - 1')
    }
  }
  checks.text('Producer-Id', id ?? '', limits.text)
  checks.done()
  return { id: id!, epoch: Number(epoch), seq: Number(seq) }
}

function isClosing(exchange: HttpExchange): boolean {
  return exchange.header('stream-closed')?.toLowerCase() === 'true'
}

/** What every answer about a stream says of it. */
export function stateHeaders(state: StreamState): Record<string, string> {
  return {
    'content-type': state.contentType || 'application/json',
    'stream-next-offset': offsetText(state.next),
    ...(state.closed ? { 'stream-closed': 'true' } : {}),
  }
}

/** When the stream ends. */
export function endHeaders({ ttlMs, expiresAt }: StreamState): Record<string, string> {
  if (ttlMs > 0) return { 'stream-ttl': String(ttlMs / 1000) }
  return expiresAt > 0 ? { 'stream-expires-at': new Date(expiresAt).toISOString() } : {}
}

/** The stream's own address. */
export function locationOf(exchange: HttpExchange): string {
  const isSecure = (exchange.request.socket as TLSSocket).encrypted || exchange.header('x-forwarded-proto') === 'https'
  return `${isSecure ? 'https' : 'http'}://${exchange.header('host') ?? 'localhost'}${exchange.path}`
}

/** A refusal with the status and the headers that the protocol has for it. */
export function refusalOf(error: unknown, state: StreamState | undefined, write?: { readonly producer?: StreamProducer }): unknown {
  if (!(error instanceof MillraceError)) return error
  const refuse = (status: number, headers: Record<string, string> = {}) => new HttpError(status, error.reason, error.message, { headers })
  if (error instanceof StreamGone) return refuse(410)
  if (error instanceof StreamClosed)
    return refuse(409, { 'stream-closed': 'true', ...(state ? { 'stream-next-offset': offsetText(state.next) } : {}) })
  if (!(error instanceof ProducerRefusal)) return error
  if (error.epoch !== undefined) return refuse(403, { 'producer-epoch': String(error.epoch) })
  return refuse(409, { 'producer-expected-seq': String(error.expected), 'producer-received-seq': String(write?.producer?.seq) })
}
