import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { ObjectName } from '../../store/object-port.ts'
import type { Seq, TenantId } from '../../store/ports.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Principal } from '../keys/principal.ts'

/** What a presigned URL lets its holder do. */
export interface Presigned {
  readonly object: ObjectName
  readonly method: 'GET' | 'PUT'
  /** What must be sent; '' : anything. */
  readonly contentType: string
  /** The key that made it, and ends it when it ends. */
  readonly by: Seq
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** The path of an object over HTTP; its slashes stay. */
function objectPath({ bucket, key }: Pick<ObjectName, 'bucket' | 'key'>): string {
  return `/v1/buckets/${bucket}/objects/${key.split('/').map(encodeURIComponent).join('/')}`
}

/** Path and query of a URL that needs no key. */
export async function presign(keyring: Keyring, presigned: Presigned): Promise<string> {
  const { object, method, contentType, by, expiresAt } = presigned
  const query = new URLSearchParams({
    method,
    tenant: String(object.tenant),
    namespace: object.namespace,
    by: String(by),
    ...(contentType !== '' && { type: contentType }),
    expires: String(expiresAt),
    signature: (await keyring.sign(object.tenant, signedText(presigned))).toString('base64url'),
  })
  return `${objectPath(object)}?${query}`
}

/** What a request to a presigned URL says. */
export interface PresignedRequest {
  readonly bucket: string
  readonly key: string
  readonly method: 'GET' | 'PUT'
  readonly contentType: string
  readonly query: URLSearchParams
}

/**
 * Checks a presigned URL.
 *
 * @returns the object it is for, and who answers for it.
 * @throws UNAUTHENTICATED, PERMISSION_DENIED
 */
export async function verifyPresigned(
  keyring: Keyring,
  clock: Clock,
  { bucket, key, method, contentType, query }: PresignedRequest,
): Promise<{ readonly object: ObjectName; readonly principal: Principal }> {
  const number = (name: string) => (/^\d{1,15}$/.test(query.get(name) ?? '') ? Number(query.get(name)) : -1)
  const tenant: TenantId = number('tenant')
  const object = { tenant, namespace: query.get('namespace') ?? '', bucket, key }
  const type = query.get('type') ?? ''
  const expiresAt = number('expires')
  const presigned: Presigned = {
    object,
    method: query.get('method') === 'PUT' ? 'PUT' : 'GET',
    contentType: type,
    by: number('by'),
    expiresAt,
  }
  const given = Buffer.from(query.get('signature') ?? '', 'base64url')
  const right = await keyring.signatureOf(tenant, signedText(presigned))
  if (!right || given.length !== right.length || !timingSafeEqual(given, right)) {
    throw new MillraceError('UNAUTHENTICATED', 'The URL is not one of this server, or was changed: ask for another.')
  }
  if (expiresAt <= clock.now()) throw new MillraceError('UNAUTHENTICATED', 'The URL has expired: ask for another.')
  if (method !== presigned.method) {
    throw new MillraceError('PERMISSION_DENIED', `The URL is for ${presigned.method}, not for ${method}: ask for another.`)
  }
  if (type !== '' && type !== contentType) {
    throw new MillraceError('PERMISSION_DENIED', `The URL is for the content type '${type}': send that.`)
  }
  const principal = await keyring.principal(tenant, presigned.by)
  principal.require(method === 'PUT' ? 'objects:write' : 'objects:read')
  principal.in(object.namespace)
  return { object, principal }
}

function signedText({ object, method, contentType, by, expiresAt }: Presigned): string {
  return JSON.stringify(['object', object.tenant, object.namespace, object.bucket, object.key, method, contentType, by, expiresAt])
}
