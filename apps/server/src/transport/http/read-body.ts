import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { HttpExchange } from './exchange.ts'
import { HttpError } from './http-error.ts'

const unzip = promisify(gunzip)

/** Longest time that a body may take to arrive, in milliseconds: a slow or endless one holds nothing for long. */
const longestMs = 120_000

/**
 * Reads the whole body of a request.
 *
 * @param limit - bytes at most, also after unpacking.
 * @throws HttpError 413, 415, 400
 */
export async function readBody(exchange: HttpExchange, limit: number): Promise<Buffer> {
  const { request } = exchange
  const coding = exchange.header('content-encoding')?.toLowerCase() ?? 'identity'
  if (coding !== 'identity' && coding !== 'gzip') {
    throw new HttpError(
      415,
      'VALIDATION',
      `The content encoding '${coding.slice(0, 64)}' is not known. Send the body as it is, or as gzip.`,
    )
  }
  if (Number(exchange.header('content-length') ?? 0) > limit) throw tooLarge(limit)
  const chunks: Buffer[] = []
  let length = 0
  const tooSlow = setTimeout(() => request.destroy(), longestMs)
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > limit) throw tooLarge(limit)
      chunks.push(chunk)
    }
  } finally {
    clearTimeout(tooSlow)
  }
  const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  return coding === 'gzip' && length > 0 ? unpack(body, limit) : body
}

/**
 * Reads a body that is JSON. No body is an empty object.
 *
 * @param limit - bytes at most.
 * @throws VALIDATION, HttpError 413, 415
 */
export async function readJson(exchange: HttpExchange, limit: number): Promise<unknown> {
  const body = await readBody(exchange, limit)
  if (body.length === 0) return {}
  const contentType = exchange.header('content-type')
  if (!/^application\/([\w.-]+\+)?json *(;|$)/i.test(contentType ?? '')) {
    const given = contentType === undefined ? 'no content type' : `the content type '${contentType.slice(0, 64)}'`
    throw new HttpError(415, 'VALIDATION', `The body has ${given}. Send JSON, with content-type: application/json.`)
  }
  try {
    return parseExact(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw new HttpError(400, 'VALIDATION', `The body is not valid JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Of ECMAScript's proposal that Node has already. Source: https://github.com/tc39/proposal-json-parse-with-source */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }

/**
 * Reads JSON without rounding: whole numbers too large for JavaScript stay as they were written, so that payloads pass
 * unchanged.
 *
 * @throws SyntaxError
 */
export function parseExact(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_key, value: unknown, { source }: { readonly source?: string } = {}) => {
    if (typeof value !== 'number' || source === undefined || Number.isSafeInteger(value)) return value
    const isChanged = !Number.isFinite(value) || (/^-?\d+$/.test(source) && String(value) !== source)
    return isChanged ? rawJSON(source) : value
  })
}

async function unpack(body: Buffer, limit: number): Promise<Buffer> {
  try {
    return await unzip(body, { maxOutputLength: limit })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limit)
    throw new HttpError(400, 'VALIDATION', `The body is not valid gzip: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, 'VALIDATION', `The body is too large: at most ${limit} bytes are allowed. Send less at a time.`)
}
