import type * as wire from '@millrace/protocol'
import type { ClientContext } from './context.ts'
import { InternalError } from './errors/errors.ts'
import type { CallOptions } from './options.ts'
import { createList, type List } from './page.ts'
import { missingField, toDate, toInt, toText } from './wire.ts'

/** An API key, without its secret. */
export interface ApiKey {
  /** `key_…`. */
  readonly keyId: string
  /** Its name, for people. */
  readonly name: string
  /** The tenant it belongs to. */
  readonly tenant: string
  /** What it may do. */
  readonly scopes: readonly string[]
  /** Namespaces it may use; empty means all. */
  readonly namespaces: readonly string[]
  /** When it was made. */
  readonly createdAt: Date
  /** When it ends by itself; absent means never. */
  readonly expiresAt?: Date
  /** When it was revoked; absent when it was not. */
  readonly revokedAt?: Date
  /** The first characters of the secret, to recognise it by. */
  readonly hint: string
  /** Calls per second that each server takes from it and its tokens together; absent means any number. */
  readonly rateLimit?: number
}

/** A key to make. */
export interface CreateKeyOptions extends CallOptions {
  /** Its name, for people. */
  readonly name: string
  /**
   * What it may do: `admin`, `root`, `workers`, `tables:sql`, and `…:read` and `…:write` of `tasks`, `queues`, `streams`, `kv`,
   * `schedules`, `webhooks`, `schemas`, `objects`, `databases`, `tables` and `vectors`; no more than the caller's key may. Default: all
   * of these that it may, but `admin` and `root`.
   */
  readonly scopes?: readonly string[]
  /** Namespaces it may use. Default: all. */
  readonly namespaces?: readonly string[]
  /**
   * Calls per second that each server takes from it and its tokens together, one second's worth of them at once; more fail with
   * `RateLimitError`. A batch, or a stream, is one call. 1 to 1,000,000, and no more than the caller's key has. Default: as many as
   * that has, or any number.
   */
  readonly rateLimit?: number
  /** When it ends by itself. Default: never. */
  readonly expiresAt?: Date
  /** The tenant; another than the caller's needs the scope `root`. Default: the caller's. */
  readonly tenant?: string
}

/** A key that was just made: the only time its secret is shown. */
export interface CreatedKey {
  /** `key_…`: what `revoke` takes. */
  readonly keyId: string
  /** The secret: what `apiKey` takes. */
  readonly key: string
}

/** Manages API keys. Needs the scope `admin`. */
export class Keys {
  readonly #context: ClientContext

  /** @internal Use `mr.keys`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Makes a key and shows its secret, this once. */
  async create(options: CreateKeyOptions): Promise<CreatedKey> {
    const request = {
      name: toText('name', options.name),
      tenant: toText('tenant', options.tenant),
      scopes: [...(options.scopes ?? [])],
      namespaces: [...(options.namespaces ?? [])],
      rateLimit: toInt('rateLimit', options.rateLimit),
      expiresAt: toDate('expiresAt', options.expiresAt),
    }
    const { key, secret } = await this.#context.unsafe('KeyService/CreateKey', request, options)
    return { keyId: fromKey(key).keyId, key: secret }
  }

  /** Lists keys, oldest first. */
  list(options: CallOptions & { readonly tenant?: string } = {}): List<ApiKey> {
    return createList(async () => {
      const { keys } = await this.#context.safe('KeyService/ListKeys', { tenant: toText('tenant', options.tenant) }, options)
      return { items: keys.map(fromKey), nextCursor: '' }
    })
  }

  /** Ends a key at once. @throws NotFoundError */
  async revoke(keyId: string, options: CallOptions & { readonly tenant?: string } = {}): Promise<ApiKey> {
    const request = { keyId: toText('keyId', keyId), tenant: toText('tenant', options.tenant) }
    return fromKey((await this.#context.safe('KeyService/RevokeKey', request, options)).key)
  }
}

function fromKey(key: wire.ApiKey | undefined): ApiKey {
  if (!key) throw new InternalError(missingField('the key'))
  return {
    keyId: key.keyId,
    name: key.name,
    tenant: key.tenant,
    scopes: key.scopes,
    namespaces: key.namespaces,
    createdAt: key.createdAt ?? new Date(0),
    ...(key.expiresAt && { expiresAt: key.expiresAt }),
    ...(key.revokedAt && { revokedAt: key.revokedAt }),
    hint: key.hint,
    ...(key.rateLimit > 0 && { rateLimit: key.rateLimit }),
  }
}
