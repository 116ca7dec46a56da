import { isUtf8 } from 'node:buffer'
import type { OutgoingHttpHeaders } from 'node:http'
import type { PutObjectHeader, PutPartHeader } from '@millrace/protocol'
import { type Shape, toJson } from '@millrace/protocol/http'
import { invalid, MillraceError } from '../../../errors.ts'
import type { HttpExchange } from '../exchange.ts'
import { HttpError } from '../http-error.ts'

/** Longest time without a byte from a caller who sends some, in milliseconds. */
const silenceMs = 120_000

/**
 * The ETags of a header, without their quotes; `*` stands for any. None when there is no such header.
 *
 * @param weak - take weak ones for what they are made of.
 */
export function readEtags(text: string | undefined, weak: boolean): readonly string[] {
  const quotes = weak ? /^(W\/)?"|"$/g : /^"|"$/g
  return text === undefined ? [] : text.split(',').map((etag) => etag.trim().replace(quotes, ''))
}

/** What the headers of a PUT say of the object, but for `If-Match`. @throws VALIDATION */
export function readObjectHeader(exchange: HttpExchange, bucket: string, key: string): Omit<PutObjectHeader, 'ifMatch'> {
  const ifNoneMatch = exchange.header('if-none-match')
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw invalid('if-none-match', 'must be * for a PUT: only when there is no object')
  return {
    bucket,
    key,
    contentType: exchange.header('content-type') ?? '',
    metadata: readMetadata(exchange.header('millrace-metadata')),
    ...readExpected(exchange),
    ifAbsent: ifNoneMatch === '*',
  }
}

/** What the headers of a PUT say of a part. @throws VALIDATION */
export function readPartHeader(exchange: HttpExchange, part: Pick<PutPartHeader, 'bucket' | 'uploadId' | 'part'>): PutPartHeader {
  return { ...part, ...readExpected(exchange) }
}

function readExpected(exchange: HttpExchange): { readonly size: number | undefined; readonly sha256: string } {
  const coding = exchange.header('content-encoding')?.toLowerCase() ?? 'identity'
  if (coding !== 'identity') {
    throw new HttpError(415, 'VALIDATION', `The content encoding '${coding.slice(0, 64)}' cannot be kept. Send the bytes as they are.`)
  }
  // Who goes on with an upload that broke off sends the rest: as the whole, it would take the place of what is there.
  if (exchange.header('content-range') !== undefined) {
    throw invalid('content-range', 'is not taken: a PUT is the whole object. Send a large one in parts, which can be resumed')
  }
  const length = exchange.header('content-length')
  return { size: length === undefined ? undefined : Number(length), sha256: readDigest(exchange) }
}

/** The digest of RFC 9530, in hex: `sha-256=:…:`, with the digest in base64. */
function readDigest(exchange: HttpExchange): string {
  const name = exchange.header('repr-digest') === undefined ? 'content-digest' : 'repr-digest'
  const text = exchange.header(name)
  if (text === undefined) return ''
  const found = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(text)
  if (!found) throw invalid(name, 'has no digest in the form sha-256=:BASE64:')
  return Buffer.from(found[1]!, 'base64').toString('hex')
}

function readMetadata(text: string | undefined): Record<string, string> {
  if (text === undefined) return {}
  try {
    // Node reads headers as Latin-1, which is what fetch sends; curl sends what the terminal gives it.
    const bytes = Buffer.from(text, 'latin1')
    const metadata = JSON.parse(isUtf8(bytes) ? bytes.toString() : text) as unknown
    if (typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)) {
      if (Object.values(metadata).every((value) => typeof value === 'string')) return metadata as Record<string, string>
    }
  } catch {
    // Said below.
  }
  throw invalid('millrace-metadata', 'is not a JSON object of texts, such as {"team":"blue"}')
}

/** A request's header and body as the messages of the service. */
export async function* requestMessages<H>(exchange: HttpExchange, header: H) {
  yield { message: { $case: 'header', value: header } as const }
  const { request } = exchange
  request.setTimeout(silenceMs, () => request.destroy())
  try {
    for await (const value of request as AsyncIterable<Buffer>) yield { message: { $case: 'data', value } as const }
  } catch (error) {
    // The caller is gone in the middle of its bytes.
    throw new MillraceError('UNAVAILABLE', 'The connection broke before all bytes had come.', {}, { cause: error })
  } finally {
    request.setTimeout(0)
  }
}

/** Answers with a message of the contract. */
export function answerJson(exchange: HttpExchange, shape: Shape, message: unknown, headers: OutgoingHttpHeaders): Promise<void> {
  return exchange.send(200, 'application/json', JSON.stringify(toJson(shape, message)), { 'cache-control': 'no-store', ...headers })
}

/** A failed condition as HTTP has it, when the request set one. */
export function asPrecondition(exchange: HttpExchange, error: unknown): unknown {
  const isConditional = exchange.header('if-match') !== undefined || exchange.header('if-none-match') !== undefined
  if (!isConditional || !(error instanceof MillraceError) || !/^(CONFLICT|ALREADY_EXISTS)$/.test(error.reason)) return error
  return new HttpError(412, error.reason, error.message)
}
