import type { StatementSync } from 'node:sqlite'
import type { KeyListener, KeyRecord, KeyStore, Seq, TenantId } from '../ports.ts'
import type { Context } from './context.ts'

const columns = `keys.tenant, tenants.name AS tenant_name, keys.seq, keys.name, keys.hash, keys.hint, keys.scopes, keys.namespaces, keys.created_at,
  keys.expires_at, keys.revoked_at, keys.rate_limit FROM keys JOIN tenants USING (tenant)`

/** Tenants and API keys. */
export class SqliteKeys implements KeyStore {
  readonly #context: Context
  #listener: KeyListener | undefined
  readonly #findTenant: StatementSync
  readonly #insertTenant: StatementSync
  readonly #insert: StatementSync
  readonly #byHash: StatementSync
  readonly #bySeq: StatementSync
  readonly #list: StatementSync
  readonly #revoke: StatementSync
  readonly #tokenSecret: StatementSync
  readonly #setTokenSecret: StatementSync

  constructor(context: Context) {
    this.#context = context
    const { db } = context
    this.#findTenant = db.prepare('SELECT tenant FROM tenants WHERE name = ?')
    this.#insertTenant = db.prepare('INSERT INTO tenants (name, created_at) VALUES (?, ?)')
    this.#insert =
      db.prepare(`INSERT INTO keys (tenant, seq, name, hash, hint, scopes, namespaces, created_at, expires_at, revoked_at, rate_limit)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    // The one look-up without a tenant: it is what finds the tenant.
    this.#byHash = db.prepare(`SELECT ${columns} WHERE hash = ?`)
    this.#bySeq = db.prepare(`SELECT ${columns} WHERE keys.tenant = ? AND seq = ?`)
    this.#list = db.prepare(`SELECT ${columns} WHERE keys.tenant = ? ORDER BY seq`)
    this.#revoke = db.prepare('UPDATE keys SET revoked_at = ? WHERE tenant = ? AND seq = ? AND revoked_at IS NULL')
    this.#tokenSecret = db.prepare('SELECT token_secret FROM tenants WHERE tenant = ?')
    this.#setTokenSecret = db.prepare('UPDATE tenants SET token_secret = ? WHERE tenant = ? AND token_secret IS NULL')
  }

  tenant(name: string, now: number): Promise<TenantId> {
    return this.#context.writer.mutate(() => {
      const known = this.#findTenant.get(name)
      return Number(known ? known.tenant : this.#insertTenant.run(name, now).lastInsertRowid)
    })
  }

  findTenant(name: string): Promise<TenantId | undefined> {
    return this.#context.read(() => this.#findTenant.get(name)?.tenant as TenantId | undefined)
  }

  create(key: Omit<KeyRecord, 'seq' | 'tenantName'>): Promise<KeyRecord> {
    return this.#context.writer.mutate(() => {
      const seq = this.#context.sequence.next()
      this.#insert.run(
        key.tenant,
        seq,
        key.name,
        key.hash,
        key.hint,
        JSON.stringify(key.scopes),
        JSON.stringify(key.namespaces),
        key.createdAt,
        key.expiresAt ?? null,
        key.revokedAt ?? null,
        key.rateLimit,
      )
      return this.#find(key.tenant, seq)!
    })
  }

  findByHash(hash: Uint8Array): Promise<KeyRecord | undefined> {
    return this.#context.read(() => {
      const row = this.#byHash.get(hash)
      return row && keyRecord(row)
    })
  }

  find(tenant: TenantId, seq: Seq): Promise<KeyRecord | undefined> {
    return this.#context.read(() => this.#find(tenant, seq))
  }

  list(tenant: TenantId): Promise<readonly KeyRecord[]> {
    return this.#context.read(() => this.#list.all(tenant).map(keyRecord))
  }

  async revoke(tenant: TenantId, seq: Seq, now: number): Promise<KeyRecord | undefined> {
    const key = await this.#context.writer.mutate(() => {
      this.#revoke.run(now, tenant, seq)
      return this.#find(tenant, seq)
    })
    if (key) this.#listener?.revoked(tenant, seq)
    return key
  }

  listen(listener: KeyListener): void {
    this.#listener = listener
  }

  tokenSecret(tenant: TenantId, fresh?: Uint8Array): Promise<Uint8Array | undefined> {
    const read = () => (this.#tokenSecret.get(tenant)?.token_secret as Uint8Array | null | undefined) ?? undefined
    if (!fresh) return this.#context.read(read)
    return this.#context.writer.mutate(() => {
      this.#setTokenSecret.run(fresh, tenant)
      return read()
    })
  }

  #find(tenant: TenantId, seq: Seq): KeyRecord | undefined {
    const row = this.#bySeq.get(tenant, seq)
    return row && keyRecord(row)
  }
}

function keyRecord(row: Record<string, unknown>): KeyRecord {
  return {
    seq: Number(row.seq),
    tenant: Number(row.tenant),
    tenantName: String(row.tenant_name),
    name: String(row.name),
    hash: row.hash as Uint8Array,
    hint: String(row.hint),
    scopes: JSON.parse(String(row.scopes)) as string[],
    namespaces: JSON.parse(String(row.namespaces)) as string[],
    createdAt: Number(row.created_at),
    expiresAt: (row.expires_at as number | null) ?? undefined,
    revokedAt: (row.revoked_at as number | null) ?? undefined,
    rateLimit: Number(row.rate_limit),
  }
}
