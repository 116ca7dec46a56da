import type { Clock } from '../../../clock.ts'
import type { DurableReading, DurableStreams } from '../../../domain/streams/durable.ts'
import { bodyOf } from '../../../domain/streams/durable-content.ts'
import type { StreamEngine } from '../../../domain/streams/engine.ts'
import { invalid } from '../../../errors.ts'
import { Wakeup } from '../../../services/wakeup.ts'
import type { StreamState } from '../../../store/stream-port.ts'
import type { AdmittedCall } from '../../admission.ts'
import type { HttpExchange } from '../exchange.ts'
import { HttpError } from '../http-error.ts'
import { nextCursor, offsetText, readOffset } from './offsets.ts'

/** How long a reader waits for news in one request, in seconds: below the shortest idle time of common proxies; and at most. */
const wait = { default: 20, max: 60 }

/** What reading stands on. */
export interface Reading {
  readonly durable: DurableStreams
  readonly engine: StreamEngine
  readonly clock: Clock
}

/** A read that is admitted. */
export interface Reader {
  readonly exchange: HttpExchange
  readonly call: AdmittedCall
  readonly name: string
  /** As it was when the read came. */
  readonly state: StreamState
  /** Where to begin; `now` is where the stream ends. */
  readonly from: number | 'now'
  readonly cursor: string | null
}

/**
 * Where to begin, as the query says; -1 and nothing are the oldest kept message.
 *
 * @throws VALIDATION, HttpError 410
 */
export function readStart({ query }: HttpExchange, { earliest }: StreamState): number | 'now' {
  const [offset, ...more] = query.getAll('offset')
  if (more.length > 0) throw invalid('offset', 'is given more than once')
  if (offset === undefined) {
    if (query.has('live')) throw invalid('offset', 'is missing: live reads need one; -1 is the beginning, now the end')
    return earliest
  }
  if (offset === '-1') return earliest
  if (offset === 'now') return 'now'
  const from = readOffset('offset', offset)
  if (from >= earliest) return from
  const message = `Messages from this offset on were dropped; the oldest kept one is at ${offsetText(earliest)}, or read from -1.`
  throw new HttpError(410, 'NOT_FOUND', message)
}

/** Answers with what there is. */
export async function catchUp(reading: Reading, reader: Reader): Promise<void> {
  const { exchange, state, from } = reader
  if (from !== 'now') return answer(reader, state, await reading.durable.read(reader.call.scope, reader.name, from))
  const headers = { ...tailHeaders(state), 'cache-control': 'no-store' }
  await exchange.send(200, typeOf(state), bodyOf(state.contentType, []), headers)
}

/** Answers with what there is, or when there is something, or the wait is over. */
export async function longPoll({ durable, engine, clock }: Reading, reader: Reader): Promise<void> {
  const { exchange, call, name, cursor } = reader
  const from = reader.from === 'now' ? reader.state.next : reader.from
  const wakeup = new Wakeup()
  const stop = engine.follow(call.scope, name, () => wakeup.wake())
  let isOver = false
  const cancel = clock.timer(waitOf(exchange) * 1000, () => {
    isOver = true
    wakeup.wake()
  })
  const gone = () => wakeup.wake()
  call.signal.addEventListener('abort', gone)
  try {
    for (;;) {
      call.signal.throwIfAborted()
      const state = await durable.state(call.scope, name, reader.state.number)
      const found = from === state.next ? undefined : await durable.read(call.scope, name, from)
      const live = { 'stream-cursor': nextCursor(clock.now(), cursor) }
      if (found) return await answer(reader, state, found, live)
      if (state.closed || isOver) {
        exchange.response.writeHead(204, { ...tailHeaders(state), ...live, 'cache-control': 'no-store' }).end()
        return
      }
      await wakeup.wait()
    }
  } finally {
    cancel()
    stop()
    call.signal.removeEventListener('abort', gone)
  }
}

/** How long the reader wants to wait: RFC 7240. */
function waitOf(exchange: HttpExchange): number {
  const wanted = /(?:^|[,; ])wait *= *(\d{1,4})\b/i.exec(exchange.header('prefer') ?? '')?.[1]
  return wanted === undefined ? wait.default : Math.min(Number(wanted), wait.max)
}

async function answer(
  { exchange, state: { number, createdAt }, from }: Reader,
  state: StreamState,
  { messages, next, upToDate }: DurableReading,
  live: Record<string, string> = {},
): Promise<void> {
  const isEnd = state.closed && upToDate && next === state.next
  const etag = `"${number.toString(36)}.${createdAt.toString(36)}:${from}:${next}${isEnd ? ':c' : ''}"`
  const headers = {
    'stream-next-offset': offsetText(next),
    ...(upToDate ? { 'stream-up-to-date': 'true' } : {}),
    ...(isEnd ? { 'stream-closed': 'true' } : {}),
    ...live,
    etag,
    // What is followed by more never changes.
    'cache-control': upToDate ? 'private, no-cache' : 'private, max-age=60, stale-while-revalidate=300',
  }
  if (exchange.header('if-none-match')?.split(/ *, */).includes(etag)) exchange.response.writeHead(304, headers).end()
  else await exchange.send(200, typeOf(state), bodyOf(state.contentType, messages), headers)
}

/** What a reader is told at the end of a stream. */
function tailHeaders(state: StreamState): Record<string, string> {
  const closed: Record<string, string> = state.closed ? { 'stream-closed': 'true' } : {}
  return { 'stream-next-offset': offsetText(state.next), 'stream-up-to-date': 'true', ...closed }
}

function typeOf({ contentType }: StreamState): string {
  return contentType || 'application/json'
}
