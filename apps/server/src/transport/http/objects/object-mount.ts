import { statObject } from '@millrace/protocol/http'
import type { Clock } from '../../../clock.ts'
import type { Keyring } from '../../../domain/keys/keyring.ts'
import type { ObjectEngine } from '../../../domain/objects/engine.ts'
import { verifyPresigned } from '../../../domain/objects/presigned.ts'
import { invalid, MillraceError, notFound } from '../../../errors.ts'
import type { Call } from '../../../services/call.ts'
import type { createObjectService } from '../../../services/object-service.ts'
import type { HttpExchange } from '../exchange.ts'
import { HttpError } from '../http-error.ts'
import type { HttpMount } from '../server.ts'
import { answerJson, asPrecondition, readEtags, readObjectHeader, readPartHeader, requestMessages } from './object-requests.ts'
import { sendObject } from './send-object.ts'

/** What the mount stands on. */
export interface ObjectMountOptions {
  readonly service: ReturnType<typeof createObjectService>
  readonly objects: ObjectEngine
  readonly keyring: Keyring
  readonly clock: Clock
}

/** `/v1/buckets/{bucket}/objects/{key…}`, `/v1/buckets/{bucket}/uploads/{upload}/parts/{part}`, `/v1/public/{tenant}/{namespace}/{bucket}/{key…}`. */
const objectPattern = /^\/v1\/buckets\/([^/]+)\/objects\/(.+)$/
const partPattern = /^\/v1\/buckets\/([^/]+)\/uploads\/([^/]+)\/parts\/(\d{1,9})$/
const publicPattern = /^\/v1\/public\/([^/]+)\/([^/]+)\/([^/]+)\/(.+)$/

/** Serves the bytes of objects as bodies: with a key, with a presigned URL, or of a public bucket. What they mean is the service's. */
export function createObjectMount({ service, objects, keyring, clock }: ObjectMountOptions): HttpMount {
  /** Lets a caller in: by its key, or by what was signed for it. */
  async function enter(exchange: HttpExchange, bucket: string, key: string, method: 'GET' | 'PUT' | 'DELETE'): Promise<Call> {
    if (!exchange.query.has('signature') || method === 'DELETE') return exchange.admit(method === 'GET' ? 'objects:read' : 'objects:write')
    const contentType = exchange.header('content-type') ?? ''
    const { object, principal } = await verifyPresigned(keyring, clock, { bucket, key, method, contentType, query: exchange.query })
    return exchange.admitAs(principal, { tenant: object.tenant, namespace: object.namespace })
  }

  /** The ETag that a write must find, '' for none: of several, the one that the object has now. */
  async function wantedEtag(exchange: HttpExchange, bucket: string, key: string, call: Call): Promise<string> {
    if (exchange.header('if-match') === undefined) return ''
    const etags = readEtags(exchange.header('if-match'), false).filter((etag) => etag !== '')
    const [first] = etags
    // Taken for no condition, it would let any write pass.
    if (first === undefined) throw invalid('if-match', 'has no ETag')
    if (etags.length === 1) return first
    const there = await service.statObject({ bucket, key }, call).catch((error: unknown) => {
      if (error instanceof MillraceError && error.reason === 'NOT_FOUND') return undefined
      throw error
    })
    return etags.find((etag) => etag === there?.object?.etag) ?? first
  }

  async function handleObject(exchange: HttpExchange, bucket: string, key: string): Promise<void> {
    if (exchange.isRead) {
      exchange.method = 'ObjectService/GetObject'
      await sendObject(exchange, service, { bucket, key }, await enter(exchange, bucket, key, 'GET'))
    } else if (exchange.request.method === 'PUT') {
      exchange.method = 'ObjectService/PutObject'
      const call = await enter(exchange, bucket, key, 'PUT')
      const header = { ...readObjectHeader(exchange, bucket, key), ifMatch: await wantedEtag(exchange, bucket, key, call) }
      const { object } = await service.putObject(requestMessages(exchange, header), call)
      await answerJson(exchange, statObject[3], { object }, { etag: `"${object!.etag}"` })
    } else if (exchange.request.method === 'DELETE') {
      exchange.method = 'ObjectService/DeleteObjects'
      const call = await enter(exchange, bucket, key, 'DELETE')
      if (exchange.header('if-none-match') !== undefined) throw invalid('if-none-match', 'is not for a DELETE: use if-match')
      await service.deleteObjects({ bucket, keys: [key], ifMatch: await wantedEtag(exchange, bucket, key, call) }, call)
      exchange.response.writeHead(204).end()
    } else throw wrongMethod(exchange, 'GET, HEAD, PUT, DELETE')
  }

  async function handlePart(exchange: HttpExchange, bucket: string, uploadId: string, part: number): Promise<void> {
    if (exchange.request.method !== 'PUT') throw wrongMethod(exchange, 'PUT')
    exchange.method = 'ObjectService/PutPart'
    const call = await exchange.admit('objects:write')
    const answer = await service.putPart(requestMessages(exchange, readPartHeader(exchange, { bucket, uploadId, part })), call)
    const { size, sha256 } = answer.part!
    await exchange.send(200, 'application/json', JSON.stringify({ part: { part, size: String(size), sha256 } }), { etag: `"${sha256}"` })
  }

  /** What is not public looks like what is not there. */
  async function handlePublic(exchange: HttpExchange, tenantName: string, namespace: string, bucket: string, key: string): Promise<void> {
    exchange.method = 'ObjectService/GetObject'
    if (!exchange.isRead) throw wrongMethod(exchange, 'GET, HEAD')
    const tenant = await keyring.findTenant(tenantName)
    const found = tenant === undefined ? undefined : await objects.index.bucket({ tenant, namespace }, bucket)
    if (tenant === undefined || !found?.publicRead) throw notFound('object', key, `in '${bucket}'`)
    const call = { requestId: exchange.requestId, scope: { tenant, namespace }, signal: exchange.gone }
    await sendObject(exchange, service, { bucket, key }, call)
  }

  async function route(exchange: HttpExchange): Promise<void> {
    const names = (pattern: RegExp) => pattern.exec(exchange.path)?.slice(1).map(decode)
    const part = names(partPattern)
    const object = names(objectPattern)
    if (part) return handlePart(exchange, part[0]!, part[1]!, Number(part[2]))
    if (object) return handleObject(exchange, object[0]!, object[1]!)
    const [tenant, namespace, bucket, key] = names(publicPattern) as [string, string, string, string]
    return handlePublic(exchange, tenant, namespace, bucket, key)
  }

  return {
    serves: (path) => objectPattern.test(path) || partPattern.test(path) || publicPattern.test(path),
    async handle(exchange) {
      try {
        await route(exchange)
      } catch (error) {
        throw asPrecondition(exchange, error)
      }
    },
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new HttpError(400, 'VALIDATION', 'The path is not percent-encoded UTF-8.')
  }
}

function wrongMethod({ request, path }: HttpExchange, allow: string): HttpError {
  return new HttpError(405, 'VALIDATION', `${path} takes ${allow}, not ${request.method}.`, { headers: { allow } })
}
