import type { HttpExchange } from './exchange.ts'

const requestHeaders = [
  'authorization, content-type, idempotency-key, if-none-match, last-event-id, millrace-namespace, request-id, x-api-key',
  // Objects.
  'if-match, if-range, millrace-metadata, range, repr-digest',
  // Durable streams.
  'stream-seq, stream-ttl, stream-expires-at, stream-closed, stream-forked-from, stream-fork-offset, stream-fork-sub-offset',
  'prefer, producer-id, producer-epoch, producer-seq',
].join(', ')
const shownHeaders = [
  'etag, idempotency-key, ratelimit-limit, ratelimit-remaining, ratelimit-reset, request-id, retry-after',
  'accept-ranges, content-length, content-range, last-modified, millrace-expires-at, millrace-metadata, millrace-updated-at, repr-digest',
  'location, stream-next-offset, stream-cursor, stream-up-to-date, stream-closed, stream-ttl, stream-expires-at, stream-sse-data-encoding',
  'producer-epoch, producer-seq, producer-expected-seq, producer-received-seq',
].join(', ')

/** How long a browser may remember what it was allowed, in seconds. */
const maxAge = 7200

/**
 * Says whether a page of another origin may read the answer. Calls carry their key in a header and never a cookie, so a
 * page that has no key gains nothing.
 *
 * @param origins - origins that are allowed; `*` for any.
 * @returns true when the request was a browser's question alone and is answered.
 */
export function answerCors(exchange: HttpExchange, origins: readonly string[]): boolean {
  const { request, response } = exchange
  const origin = exchange.header('origin')
  const isQuestion = request.method === 'OPTIONS'
  if (origin === undefined && !isQuestion) return false
  const any = origins.includes('*')
  if (!any) response.appendHeader('vary', 'origin')
  if (any) response.setHeader('access-control-allow-origin', '*')
  else if (origin !== undefined && origins.includes(origin)) response.setHeader('access-control-allow-origin', origin)
  response.setHeader('access-control-expose-headers', shownHeaders)
  if (!isQuestion) return false
  response.setHeader('access-control-allow-methods', 'GET, HEAD, POST, PUT, PATCH, DELETE')
  response.setHeader('access-control-allow-headers', requestHeaders)
  response.setHeader('access-control-max-age', maxAge)
  response.writeHead(204).end()
  return true
}
