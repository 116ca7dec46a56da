import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http'
import type { GetObjectHeader } from '@millrace/protocol'
import type { Call } from '../../../services/call.ts'
import type { createObjectService } from '../../../services/object-service.ts'
import type { HttpExchange } from '../exchange.ts'
import { HttpError } from '../http-error.ts'
import { readEtags } from './object-requests.ts'

/** Which bytes a request asks for. Forms that this server does not serve ask for all, as RFC 9110 allows. */
function readRange(text: string | undefined): { readonly offset: number; readonly length: number | undefined } | undefined {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text ?? '') ?? []
  if (from === '') return to === '' || Number(to) === 0 ? undefined : { offset: -Number(to), length: undefined }
  if (to === '') return { offset: Number(from), length: undefined }
  return Number(to) < Number(from) ? undefined : { offset: Number(from), length: Number(to) - Number(from) + 1 }
}

/** Answers GET and HEAD with an object, or the part of it that was asked for. */
export async function sendObject(
  exchange: HttpExchange,
  service: ReturnType<typeof createObjectService>,
  { bucket, key }: { readonly bucket: string; readonly key: string },
  call: Pick<Call, 'requestId' | 'scope' | 'signal'>,
): Promise<void> {
  const { response } = exchange
  const known = readEtags(exchange.header('if-none-match'), true)
  const wantedEtags = readEtags(exchange.header('if-match'), false)
  const { object } = await service.statObject({ bucket, key }, call as Call)
  const { etag, size } = object!
  if (wantedEtags.length > 0 && !wantedEtags.includes('*') && !wantedEtags.includes(etag)) {
    const message = `The object has the ETag ${etag}, and not ${wantedEtags.join(' or ')}.`
    throw new HttpError(412, 'CONFLICT', message, { headers: { etag: `"${etag}"` } })
  }
  const ifNoneMatch = known.includes('*') || known.includes(etag) ? etag : ''
  // What a client has of an older object must not be completed with bytes of this one.
  const isSame = exchange.header('if-range')?.replace(/^"|"$/g, '') ?? etag
  // Of an empty object there is no range to tell of: it is sent as it is. Nor is there of one that the client has already.
  const range = isSame === etag && size > 0 && ifNoneMatch === '' ? readRange(exchange.header('range')) : undefined
  if (range && range.offset >= size) {
    const headers = { 'content-range': `bytes */${size}`, etag: `"${etag}"` }
    throw new HttpError(416, 'VALIDATION', `The object has ${size} bytes: none of those that were asked for.`, { headers })
  }
  const wanted = { offset: range?.offset ?? 0, length: range?.length }
  const messages = service.getObject({ bucket, key, ...wanted, ifMatch: etag, ifNoneMatch }, call as Call)
  let isBegun = false
  for await (const { message } of messages) {
    if (message?.$case === 'header') {
      const { value: header } = message
      isBegun = true
      response.writeHead(header.notModified ? 304 : range ? 206 : 200, headersOf(header, range !== undefined))
      if (exchange.request.method === 'HEAD' || header.notModified) break
    } else if (message?.$case === 'data' && !response.write(message.value)) {
      await once(response, 'drain', { signal: exchange.gone })
    }
  }
  if (isBegun) response.end()
}

function headersOf({ object, offset, length, notModified }: GetObjectHeader, isPart: boolean): OutgoingHttpHeaders {
  const { etag, size, sha256, contentType, metadata, updatedAt, expiresAt } = object!
  const validators = { etag: `"${etag}"`, 'cache-control': 'no-cache', 'accept-ranges': 'bytes' }
  if (notModified) return validators
  return {
    ...validators,
    'content-type': contentType,
    'content-length': length,
    ...(isPart && { 'content-range': `bytes ${offset}-${offset + length - 1}/${size}` }),
    ...(sha256 !== '' && { 'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:` }),
    ...(Object.keys(metadata).length > 0 && { 'millrace-metadata': ascii(JSON.stringify(metadata)) }),
    'last-modified': updatedAt!.toUTCString(),
    'millrace-updated-at': updatedAt!.toISOString(),
    ...(expiresAt && { 'millrace-expires-at': expiresAt.toISOString() }),
    // Whatever somebody stored here must not act as a page of this server.
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
  }
}

/** JSON as a header may have it. */
function ascii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
