import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { KeyRecord, KeyStore, Seq, TenantId } from '../../store/ports.ts'
import { Principal } from './principal.ts'
import { createSecret, hashSecret, hintOf } from './secret.ts'
import { isToken, readToken, signToken, type TokenClaims } from './token.ts'

/** Most keys and tokens kept ready in memory; the least recently made ready is forgotten first. */
const cacheSize = 10_000

/** Longest wait between two looks at an open stream's expiry: what timers can take. */
const longestWait = 24 * 3_600_000

/** What is said of a new key. */
export interface NewKey {
  readonly tenant: TenantId
  readonly name: string
  readonly scopes: readonly string[]
  readonly namespaces: readonly string[]
  /** Calls per second; absent means any number. */
  readonly rateLimit?: number
  readonly expiresAt?: number
}

/** Knows the API keys and the tokens made from them: makes them, checks them, ends them. */
export class Keyring {
  readonly #store: KeyStore
  readonly #clock: Clock
  readonly #ready = new Map<string, Principal>()
  readonly #tokenSecrets = new Map<TenantId, Uint8Array>()
  /** What to end when a key ends, by `tenant/seq`. */
  readonly #open = new Map<string, Set<() => void>>()
  /** Counts revocations, so that a key read before one is not kept after it. */
  #revocations = 0

  /** @param options - where keys are kept, and the time. */
  constructor(options: { readonly store: KeyStore; readonly clock: Clock }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#store.listen({ revoked: (tenant, seq) => this.#end(idOf({ tenant, seq })), missed: () => this.#lookAgain() })
  }

  /**
   * Finds who a secret belongs to. Returns at once for one in use, so that a call need not wait a turn.
   *
   * @param secret - what the caller sent.
   * @throws UNAUTHENTICATED, TOKEN_EXPIRED
   */
  authenticate(secret: string | undefined): Principal | Promise<Principal> {
    if (!secret) {
      const message =
        'The call has no API key. Give clients apiKey, or set MILLRACE_API_KEY; without a client, send x-api-key, or authorization: Bearer.'
      throw new MillraceError('UNAUTHENTICATED', message)
    }
    const hash = hashSecret(secret)
    const id = hash.toString('base64')
    const principal = this.#ready.get(id)
    if (principal) return this.#current(principal)
    return this.#find(id, isToken(secret) ? () => this.#readToken(id, secret) : () => this.#readKey(id, hash))
  }

  /** Makes a key. The secret is not kept. */
  async create(key: NewKey): Promise<{ readonly key: KeyRecord; readonly secret: string }> {
    const secret = createSecret()
    return { key: await this.#add(key, secret), secret }
  }

  /** Makes a token. It is not kept: the tenant's secret is all it takes to check it. */
  async createToken(claims: TokenClaims): Promise<string> {
    return signToken(claims, (await this.#tokenSecret(claims.tenant, randomBytes(32)))!)
  }

  /** Signs a text with the tenant's secret; tokens are signed otherwise, so neither stands for the other. */
  async sign(tenant: TenantId, text: string): Promise<Buffer> {
    return signatureOf(text, (await this.#tokenSecret(tenant, randomBytes(32)))!)
  }

  /** The right signature of a text; undefined when the tenant never signed any, or there is none. */
  async signatureOf(tenant: TenantId, text: string): Promise<Buffer | undefined> {
    const secret = await this.#tokenSecret(tenant)
    return secret && signatureOf(text, secret)
  }

  /**
   * Who a key is, by its number: for what it signed.
   *
   * @throws UNAUTHENTICATED when it has ended.
   */
  async principal(tenant: TenantId, seq: Seq): Promise<Principal> {
    const key = await this.#store.find(tenant, seq)
    if (!key) throw new MillraceError('UNAUTHENTICATED', 'The API key that signed this is not known.')
    return this.#current(new Principal(key.hash.toString(), key))
  }

  /** Makes a key of a secret chosen elsewhere, unless there is one. */
  async adopt(key: NewKey, secret: string): Promise<KeyRecord> {
    return (await this.#store.findByHash(hashSecret(secret))) ?? (await this.#add(key, secret))
  }

  /** A tenant's number; the tenant is made when it is new. */
  tenant(name: string): Promise<TenantId> {
    return this.#store.tenant(name, this.#clock.now())
  }

  /** A tenant's number, when there is such a tenant. */
  findTenant(name: string): Promise<TenantId | undefined> {
    return this.#store.findTenant(name)
  }

  /** A tenant's keys, oldest first. */
  list(tenant: TenantId): Promise<readonly KeyRecord[]> {
    return this.#store.list(tenant)
  }

  /** Ends a key, its tokens and whatever is open under them, at once. Undefined when the tenant has no such key. */
  async revoke(tenant: TenantId, seq: Seq): Promise<KeyRecord | undefined> {
    // The store tells of it, as it tells of what other servers revoke.
    return this.#store.revoke(tenant, seq, this.#clock.now())
  }

  /** A key was revoked. */
  #end(key: string): void {
    this.#revocations++
    for (const [id, principal] of this.#ready) if (idOf(principal.key) === key) this.#ready.delete(id)
    for (const end of [...(this.#open.get(key) ?? [])]) end()
  }

  /** Forgets what is ready, and ends what is open under keys that were revoked meanwhile. */
  #lookAgain(): void {
    this.#revocations++
    this.#ready.clear()
    for (const key of this.#open.keys()) {
      const [tenant = 0, seq = 0] = key.split('/').map(Number)
      // A store that cannot be read now tells again when it can.
      this.#store.find(tenant, seq).then(
        (record) => record?.revokedAt !== undefined && this.#end(key),
        () => undefined,
      )
    }
  }

  /**
   * Calls `end` when the key is revoked, or the key or token expires.
   *
   * @returns what to call when it is no longer of interest.
   */
  onEnd(principal: Principal, end: () => void): () => void {
    const id = idOf(principal.key)
    const set = this.#open.get(id) ?? new Set()
    this.#open.set(id, set.add(end))
    const cancelTimer = this.#onExpiry(principal, end)
    // Revoked (or merely forgotten) between the check of the call and now: look again.
    if (this.#ready.get(principal.id) !== principal) this.#recheck(principal.key).catch(end)
    return () => {
      cancelTimer()
      set.delete(end)
      if (set.size === 0 && this.#open.get(id) === set) this.#open.delete(id)
    }
  }

  #onExpiry({ expiresAt }: Principal, end: () => void): () => void {
    if (expiresAt === undefined) return () => {}
    let cancel = () => {}
    const wait = () => {
      const left = expiresAt - this.#clock.now()
      if (left <= 0) end()
      else cancel = this.#clock.timer(Math.min(left, longestWait), wait)
    }
    cancel = this.#clock.timer(Math.min(expiresAt - this.#clock.now(), longestWait), wait)
    return () => cancel()
  }

  #add(key: NewKey, secret: string): Promise<KeyRecord> {
    return this.#store.create({
      ...key,
      rateLimit: key.rateLimit ?? 0,
      hash: hashSecret(secret),
      hint: hintOf(secret),
      createdAt: this.#clock.now(),
    })
  }

  async #find(id: string, read: () => Promise<Principal>): Promise<Principal> {
    for (;;) {
      const revocations = this.#revocations
      const principal = this.#current(await read())
      if (revocations !== this.#revocations) continue
      if (this.#ready.size >= cacheSize) this.#ready.delete(this.#ready.keys().next().value!)
      this.#ready.set(id, principal)
      return principal
    }
  }

  async #readKey(id: string, hash: Buffer): Promise<Principal> {
    const key = await this.#store.findByHash(hash)
    if (!key) throw new MillraceError('UNAUTHENTICATED', 'The API key is not known. Check that it was copied whole.')
    return new Principal(id, key)
  }

  async #readToken(id: string, text: string): Promise<Principal> {
    const token = readToken(text)
    const secret = token && (await this.#tokenSecret(token.tenant))
    const claims = secret && token.claims(secret)
    const key = claims && (await this.#store.find(claims.tenant, claims.key))
    if (!key) throw new MillraceError('UNAUTHENTICATED', 'The token is not one of this server. Check that it was copied whole.')
    return new Principal(id, key, claims)
  }

  async #tokenSecret(tenant: TenantId, fresh?: Uint8Array): Promise<Uint8Array | undefined> {
    const known = this.#tokenSecrets.get(tenant)
    if (known) return known
    const secret = await this.#store.tokenSecret(tenant, fresh)
    if (this.#tokenSecrets.size >= cacheSize) this.#tokenSecrets.clear()
    if (secret) this.#tokenSecrets.set(tenant, secret)
    return secret
  }

  async #recheck({ tenant, seq }: KeyRecord): Promise<void> {
    const key = await this.#store.find(tenant, seq)
    if (key?.revokedAt !== undefined) throw revoked(key)
  }

  /** Refuses what has ended. */
  #current(principal: Principal): Principal {
    const { key, expiresAt, isToken, name } = principal
    if (key.revokedAt !== undefined) throw revoked(key)
    if (expiresAt !== undefined && expiresAt <= this.#clock.now()) {
      throw new MillraceError(isToken ? 'TOKEN_EXPIRED' : 'UNAUTHENTICATED', `The ${isToken ? name : `API ${name}`} has expired.`)
    }
    return principal
  }
}

function signatureOf(text: string, secret: Uint8Array): Buffer {
  return createHmac('sha256', secret).update('signed ').update(text).digest()
}

function revoked({ hint }: KeyRecord): MillraceError {
  return new MillraceError('UNAUTHENTICATED', `The API key ${hint}… was revoked.`)
}

function idOf(key: Pick<KeyRecord, 'tenant' | 'seq'>): string {
  return `${key.tenant}/${key.seq}`
}
