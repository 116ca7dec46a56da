import type * as wire from '@millrace/protocol'
import { invalid } from '../errors/errors.ts'
import type { RawCall, RawRequest, Transport, TransportCall } from '../transport.ts'
import { type Body, readAll } from './body.ts'
import type { Carrier, Received, Sending } from './carrier.ts'
import { verified } from './verify.ts'

/** Carries bytes as bodies of HTTP. */
export class HttpCarrier implements Carrier {
  readonly #begin: NonNullable<Transport['begin']>

  constructor(begin: NonNullable<Transport['begin']>) {
    this.#begin = begin
  }

  async put(header: wire.PutObjectHeader, body: Body, sending: Sending): Promise<wire.StoredObject | undefined> {
    const { bucket, key, contentType, metadata, ifMatch, ifAbsent } = header
    const headers = {
      'content-type': contentType || 'application/octet-stream',
      ...(Object.keys(metadata).length > 0 && { 'millrace-metadata': ascii(JSON.stringify(metadata)) }),
      ...(ifMatch !== '' && { 'if-match': quoted(ifMatch) }),
      ...(ifAbsent && { 'if-none-match': '*' }),
    }
    const { object } = (await this.#send(objectPath(bucket, key), headers, body, sending)) as { object: JsonObject }
    return fromJsonObject(object)
  }

  async part(header: wire.PutPartHeader, body: Body, sending: Sending): Promise<wire.ObjectPart | undefined> {
    const path = `/v1/buckets/${encodeURIComponent(header.bucket)}/uploads/${encodeURIComponent(header.uploadId)}/parts/${header.part}`
    const { part } = (await this.#send(path, {}, body, sending)) as { part: { part: number; size: string; sha256: string } }
    return { ...part, size: Number(part.size) }
  }

  async get({ bucket, key, offset, length, ifMatch, ifNoneMatch }: wire.GetObjectRequest, call: TransportCall): Promise<Received> {
    const range = offset < 0 ? `bytes=${offset}` : `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`
    const headers = {
      ...((offset !== 0 || length !== undefined) && { range }),
      ...(ifMatch !== '' && { 'if-match': quoted(ifMatch) }),
      ...(ifNoneMatch !== '' && { 'if-none-match': quoted(ifNoneMatch) }),
    }
    const request = { verb: 'GET', path: objectPath(bucket, key), headers }
    const get = this.#begin(call)
    const response = await answer(get, request)
    const header = headerOf(bucket, key, response)
    return {
      header,
      bytes: closing(verified(header, response.body ? readAll(response.body) : nothing(), undefined), get),
      cancel: async () => get.close(),
    }
  }

  async #send(path: string, headers: Record<string, string>, content: Body, sending: Sending): Promise<unknown> {
    const body = content.whole ?? (await gather(content))
    const sha256 = sending.sha256 !== '' || body instanceof Blob ? sending.sha256 : await digestOf(body)
    const digest: Record<string, string> = sha256 === '' ? {} : { 'repr-digest': `sha-256=:${base64OfHex(sha256)}:` }
    const put = this.#begin(sending)
    const response = await answer(put, { verb: 'PUT', path, headers: { ...headers, ...digest }, body })
    sending.onProgress?.(body instanceof Blob ? body.size : body.length)
    try {
      return await response.json()
    } catch (error) {
      throw put.failure(error)
    } finally {
      put.close()
    }
  }
}

/** The answer to a call, which ends when there is none. */
async function answer(call: RawCall, request: RawRequest): Promise<Response> {
  try {
    return await call.fetch(request)
  } catch (error) {
    const failure = call.failure(error)
    call.close()
    throw failure
  }
}

/** An object in an answer's JSON. */
interface JsonObject extends Omit<wire.StoredObject, 'size' | 'updatedAt' | 'expiresAt'> {
  readonly size: string
  readonly updatedAt: string
  readonly expiresAt?: string | null
}

function fromJsonObject({ size, updatedAt, expiresAt, ...rest }: JsonObject): wire.StoredObject {
  return { ...rest, size: Number(size), updatedAt: new Date(updatedAt), expiresAt: expiresAt ? new Date(expiresAt) : undefined }
}

/** What the headers of an answer say. */
function headerOf(bucket: string, key: string, { headers, status }: Response): wire.GetObjectHeader {
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get('content-range') ?? '')
  const length = range ? Number(range[2]) - Number(range[1]) + 1 : Number(headers.get('content-length') ?? 0)
  const etag = headers.get('etag')?.replace(/^(W\/)?"|"$/g, '') ?? ''
  const expiresAt = headers.get('millrace-expires-at')
  const object = {
    bucket,
    key,
    size: range ? Number(range[3]) : length,
    etag,
    sha256: etag.includes('-') ? '' : etag,
    contentType: headers.get('content-type') ?? '',
    metadata: JSON.parse(headers.get('millrace-metadata') ?? '{}') as Record<string, string>,
    updatedAt: new Date(headers.get('millrace-updated-at') ?? headers.get('last-modified') ?? 0),
    expiresAt: expiresAt ? new Date(expiresAt) : undefined,
  }
  return { object, offset: range ? Number(range[1]) : 0, length, parts: [], notModified: status === 304 }
}

/** All of a stream: few platforms send one as it comes. Browsers keep large blobs on disk. */
async function gather(body: Body): Promise<Blob> {
  let blob = new Blob([])
  for await (const chunk of body.chunks()) blob = new Blob([blob, chunk as Uint8Array<ArrayBuffer>])
  return blob
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

async function* closing(bytes: AsyncIterable<Uint8Array>, call: RawCall): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* bytes
  } catch (error) {
    throw call.failure(error)
  } finally {
    call.close()
  }
}

/** @throws ValidationError for keys that a URL would take for directions, and lose. */
function objectPath(bucket: string, key: string): string {
  if (/^$|(^|\/)\.\.?(\/|$)/.test(key)) throw invalid('key', `'${key}' is empty, or has . or .. between its slashes.`)
  return `/v1/buckets/${encodeURIComponent(bucket)}/objects/${key.split('/').map(encodeURIComponent).join('/')}`
}

const quoted = (etag: string): string => (etag === '*' ? etag : `"${etag}"`)

/** JSON as a header may have it. */
function ascii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** SHA-256 in hex; '' where the platform has none: a page that came without TLS. */
async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await globalThis.crypto?.subtle?.digest('SHA-256', bytes)
  return digest ? [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('') : ''
}

function base64OfHex(hex: string): string {
  return btoa(hex.replace(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16))))
}
