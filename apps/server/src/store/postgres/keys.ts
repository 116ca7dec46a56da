import type { KeyListener, KeyRecord, KeyStore, Seq, TenantId } from '../ports.ts'
import { storable } from './arrays.ts'
import type { Context } from './context.ts'
import type { Statement } from './database.ts'

const columns = `k.tenant, t.name AS tenant_name, k.seq, k.name, k.hash, k.hint, k.scopes, k.namespaces, k.created_at, k.expires_at, k.revoked_at, k.rate_limit
  FROM millrace.keys k JOIN millrace.tenants t ON t.tenant = k.tenant`

const findTenant: Statement = { name: 'tenant_find', repeatable: true, text: 'SELECT tenant FROM millrace.tenants WHERE name = $1' }
const addTenant: Statement = {
  name: 'tenant_add',
  repeatable: true,
  text: 'INSERT INTO millrace.tenants (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING',
}
const add: Statement = {
  name: 'key_add',
  // Its number is given once: done again, it finds itself.
  repeatable: true,
  text: `INSERT INTO millrace.keys (tenant, seq, name, hash, hint, scopes, namespaces, created_at, expires_at, revoked_at, rate_limit)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant, seq) DO NOTHING`,
}
// The one look-up without a tenant: it is what finds the tenant.
const byHash: Statement = { name: 'key_by_hash', repeatable: true, text: `SELECT ${columns} WHERE k.hash = $1` }
const bySeq: Statement = { name: 'key_by_seq', repeatable: true, text: `SELECT ${columns} WHERE k.tenant = $1 AND k.seq = $2` }
const list: Statement = { name: 'key_list', repeatable: true, text: `SELECT ${columns} WHERE k.tenant = $1 ORDER BY k.seq` }
const revoke: Statement = {
  name: 'key_revoke',
  repeatable: true,
  text: 'UPDATE millrace.keys SET revoked_at = $3 WHERE tenant = $1 AND seq = $2 AND revoked_at IS NULL',
}
const tokenSecret: Statement = {
  name: 'token_secret',
  repeatable: true,
  text: 'SELECT token_secret FROM millrace.tenants WHERE tenant = $1',
}
const setTokenSecret: Statement = {
  name: 'token_secret_set',
  repeatable: true,
  text: 'UPDATE millrace.tenants SET token_secret = $2 WHERE tenant = $1 AND token_secret IS NULL',
}

interface KeyRow {
  readonly tenant: number
  readonly tenant_name: string
  readonly seq: number
  readonly name: string
  readonly hash: Uint8Array
  readonly hint: string
  readonly scopes: string
  readonly namespaces: string
  readonly created_at: number
  readonly expires_at: number | null
  readonly revoked_at: number | null
  readonly rate_limit: number
}

/** Tenants and API keys. */
export class PostgresKeys implements KeyStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async tenant(name: string, now: number): Promise<TenantId> {
    const known = await this.findTenant(name)
    if (known !== undefined) return known
    await this.#context.db.run(addTenant, [storable(name), now])
    return (await this.findTenant(name))!
  }

  async findTenant(name: string): Promise<TenantId | undefined> {
    const [row] = await this.#context.db.run<[number]>(findTenant, [storable(name)])
    return row?.[0]
  }

  async create(key: Omit<KeyRecord, 'seq' | 'tenantName'>): Promise<KeyRecord> {
    const { db, nodes, sequence } = this.#context
    await nodes.reserve(1)
    const seq = sequence.next()
    const lists = [JSON.stringify(key.scopes), JSON.stringify(key.namespaces)]
    const times = [key.createdAt, key.expiresAt ?? null, key.revokedAt ?? null]
    await db.run(add, [key.tenant, seq, storable(key.name), key.hash, key.hint, ...lists, ...times, key.rateLimit])
    return (await this.#find(key.tenant, seq))!
  }

  async findByHash(hash: Uint8Array): Promise<KeyRecord | undefined> {
    const [row] = await this.#context.db.objects<KeyRow>(byHash, [hash])
    return row && keyRecord(row)
  }

  find(tenant: TenantId, seq: Seq): Promise<KeyRecord | undefined> {
    return this.#find(tenant, seq)
  }

  async list(tenant: TenantId): Promise<readonly KeyRecord[]> {
    return (await this.#context.db.objects<KeyRow>(list, [tenant])).map(keyRecord)
  }

  async revoke(tenant: TenantId, seq: Seq, now: number): Promise<KeyRecord | undefined> {
    await this.#context.db.run(revoke, [tenant, seq, now])
    const key = await this.#find(tenant, seq)
    if (key) this.#context.touch('key', { tenant, namespace: '' }, String(seq))
    return key
  }

  listen({ revoked, missed }: KeyListener): void {
    this.#context.onTouch('key', { touched: ({ tenant, name }) => revoked(tenant, Number(name)), missed })
  }

  async tokenSecret(tenant: TenantId, fresh?: Uint8Array): Promise<Uint8Array | undefined> {
    const { db } = this.#context
    if (fresh) await db.run(setTokenSecret, [tenant, fresh])
    const [row] = await db.run<[Uint8Array | null]>(tokenSecret, [tenant])
    return row?.[0] ?? undefined
  }

  async #find(tenant: TenantId, seq: Seq): Promise<KeyRecord | undefined> {
    const [row] = await this.#context.db.objects<KeyRow>(bySeq, [tenant, seq])
    return row && keyRecord(row)
  }
}

function keyRecord(row: KeyRow): KeyRecord {
  return {
    seq: row.seq,
    tenant: row.tenant,
    tenantName: row.tenant_name,
    name: row.name,
    hash: row.hash,
    hint: row.hint,
    scopes: JSON.parse(row.scopes) as string[],
    namespaces: JSON.parse(row.namespaces) as string[],
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    rateLimit: row.rate_limit,
  }
}
