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

/** Where there is none of these, JavaScript can hold every number. */
const longNumber = /[\d.]{16}|\d[eE][-+\d]/

/**
 * Reads JSON without rounding: numbers with more digits than JavaScript can hold, and larger ones, stay as they were written, so
 * that payloads pass unchanged.
 *
 * @throws SyntaxError
 */
export function parseExact(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_key, value: unknown, { source }: { readonly source?: string } = {}) => {
    if (typeof value !== 'number' || source === undefined || (Number.isSafeInteger(value) && !source.includes('.'))) return value
    return String(value) !== source && (!Number.isFinite(value) || digitsOf(source) > 15) ? rawJSON(source) : value
  })
}

/** Digits of a number as it was written, without zeros before and after them. Fifteen survive in a double. */
function digitsOf(source: string): number {
  // Nobody means so many zeros, and to look for the last ones takes long.
  if (source.length > 64) return source.length
  const digits = source
    .replace(/[eE].*/, '')
    .replace(/[-.]/g, '')
    .replace(/^0+/, '')
  return source.includes('.') ? digits.replace(/0+$/, '').length : digits.length
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
