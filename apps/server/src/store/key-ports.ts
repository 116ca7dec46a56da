import type { Seq, TenantId } from './ports.ts'

/** An API key as it is stored: never its secret. */
export interface KeyRecord {
  readonly seq: Seq
  readonly tenant: TenantId
  readonly tenantName: string
  readonly name: string
  /** SHA-256 of the secret. */
  readonly hash: Uint8Array
  readonly hint: string
  readonly scopes: readonly string[]
  readonly namespaces: readonly string[]
  /** Calls per second that each server takes; 0 means any number. */
  readonly rateLimit: number
  readonly createdAt: number
  readonly expiresAt?: number
  readonly revokedAt?: number
}

/** What a store tells of keys. Handlers must not throw. */
export interface KeyListener {
  /** A key was revoked, here or by another server; called after the commit. */
  revoked(tenant: TenantId, seq: Seq): void
  /** Revocations of other servers may have gone unseen. */
  missed(): void
}

export interface KeyStore {
  /** The tenant's number; made when it is new. */
  tenant(name: string, now: number): Promise<TenantId>
  /** The tenant's number, when there is one. */
  findTenant(name: string): Promise<TenantId | undefined>
  create(key: Omit<KeyRecord, 'seq' | 'tenantName'>): Promise<KeyRecord>
  findByHash(hash: Uint8Array): Promise<KeyRecord | undefined>
  find(tenant: TenantId, seq: Seq): Promise<KeyRecord | undefined>
  list(tenant: TenantId): Promise<readonly KeyRecord[]>
  /** Undefined when the tenant has no such key. Revoking again changes nothing. */
  revoke(tenant: TenantId, seq: Seq, now: number): Promise<KeyRecord | undefined>
  /** Sets the one listener. */
  listen(listener: KeyListener): void
  /** The secret that signs the tenant's tokens. The first `fresh` that comes becomes it; undefined while none has come, or there is no such tenant. */
  tokenSecret(tenant: TenantId, fresh?: Uint8Array): Promise<Uint8Array | undefined>
}
