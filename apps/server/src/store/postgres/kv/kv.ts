import {
  type KvChange,
  type KvChanges,
  KvChangeType,
  type KvEntry,
  type KvListener,
  type KvOutcome,
  type KvPage,
  type KvSettings,
  type KvStorage,
  type KvWriteRequest,
} from '../../kv-port.ts'
import { mostReadBytes, mostScanned } from '../../kv-rules.ts'
import type { Scope } from '../../ports.ts'
import { storable, texts } from '../arrays.ts'
import type { Context } from '../context.ts'
import type { Statement } from '../database.ts'
import { entryOf, type KvRow } from './plan.ts'
import { KvWriter } from './write.ts'

const store = '(SELECT tenant, store FROM millrace.kv_stores WHERE tenant = $1 AND namespace = $2 AND name = $3)'
const narrow = 'k.key, k.revision, k.type, k.content_type AS "contentType", k.expires_at AS "expiresAt", k.updated_at AS "updatedAt"'
/** Bytes of the values that come before a row's own, in the order of `n`. */
const before = (n: string, value: string) =>
  `coalesce(sum(octet_length(${value})) OVER (ORDER BY ${n} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint`
/** Values end where there is enough. */
const bounded = (wanted: string) => `CASE WHEN ${wanted} AND before < ${mostReadBytes} THEN value END AS value`

const read: Statement = {
  name: 'kv_read',
  repeatable: true,
  text: `SELECT n, before, key, revision, type, "contentType", "expiresAt", "updatedAt", ${bounded('$5::boolean')} FROM (
      SELECT i.n, ${narrow}, k.value, ${before('i.n', 'k.value')} AS before
      FROM unnest($4::text[]) WITH ORDINALITY AS i (key, n) CROSS JOIN ${store} AS s
      JOIN millrace.kv k ON k.tenant = s.tenant AND k.store = s.store AND k.key = i.key
      WHERE k.type = 1 AND (k.expires_at IS NULL OR k.expires_at > $6)
    ) AS found ORDER BY n`,
}
const list: Statement = {
  name: 'kv_list',
  repeatable: true,
  text: `SELECT before, key, revision, type, "contentType", "expiresAt", "updatedAt", ${bounded('$6::boolean')} FROM (
      SELECT ${narrow}, k.value, ${before('k.key', 'k.value')} AS before FROM (
        SELECT k.* FROM millrace.kv k JOIN ${store} AS s ON k.tenant = s.tenant AND k.store = s.store
        WHERE k.key >= $4 AND k.key <> $5 ORDER BY k.key LIMIT $7
      ) AS k
    ) AS found ORDER BY key`,
}
const changes: Statement = {
  name: 'kv_changes',
  repeatable: true,
  text: `SELECT s.revision AS latest, s.floor, c.* FROM millrace.kv_stores s LEFT JOIN LATERAL (
      SELECT before, key, revision, type, "contentType", "expiresAt", "updatedAt", ${bounded('starts_with(key, $5)')} FROM (
        SELECT ${narrow}, k.value, ${before('k.revision', `CASE WHEN starts_with(k.key, $5) THEN k.value END`)} AS before FROM (
          SELECT * FROM millrace.kv WHERE tenant = s.tenant AND store = s.store AND revision > $4 ORDER BY revision LIMIT $6
        ) AS k
      ) AS found
    ) AS c ON true
    WHERE s.tenant = $1 AND s.namespace = $2 AND s.name = $3 ORDER BY c.revision`,
}
const history: Statement = {
  name: 'kv_history',
  repeatable: true,
  text: `SELECT v.key, v.revision, v.type, v.value, v.content_type AS "contentType", v.expires_at AS "expiresAt", v.updated_at AS "updatedAt"
    FROM millrace.kv_stores s CROSS JOIN LATERAL (
      SELECT * FROM millrace.kv WHERE tenant = s.tenant AND store = s.store AND key = $4
      UNION ALL SELECT * FROM millrace.kv_versions WHERE tenant = s.tenant AND store = s.store AND key = $4
      ORDER BY revision DESC LIMIT s.history
    ) AS v WHERE s.tenant = $1 AND s.namespace = $2 AND s.name = $3 ORDER BY v.revision DESC`,
}
const settings: Statement = {
  name: 'kv_settings',
  repeatable: true,
  text: `SELECT name, history, revision, created_at AS "createdAt" FROM millrace.kv_stores WHERE tenant = $1 AND namespace = $2 AND name = $3`,
}
const update: Statement = {
  name: 'kv_update',
  repeatable: true,
  text: `INSERT INTO millrace.kv_stores (tenant, namespace, name, history, created_at) VALUES ($1, $2, $3, coalesce($4::int, 1), $5)
    ON CONFLICT (name, namespace, tenant) DO UPDATE SET history = coalesce($4::int, kv_stores.history)`,
}
const dropVersions: Statement = {
  name: 'kv_drop_versions',
  repeatable: true,
  text: `DELETE FROM millrace.kv_versions v USING ${store} AS s WHERE v.tenant = s.tenant AND v.store = s.store`,
}
const stores: Statement = {
  name: 'kv_stores',
  repeatable: true,
  text: `SELECT name, history, revision, created_at AS "createdAt" FROM millrace.kv_stores
    WHERE tenant = $1 AND namespace = $2 AND name COLLATE "C" > $3 ORDER BY name COLLATE "C" LIMIT $4`,
}
const nextExpiry: Statement = {
  name: 'kv_next_expiry',
  repeatable: true,
  text: 'SELECT min(expires_at) FROM millrace.kv WHERE expires_at IS NOT NULL',
}
const sweep: Statement = {
  name: 'kv_sweep',
  repeatable: true,
  text: `WITH old AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.kv WHERE type > 1 AND updated_at < $1 ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ), gone AS (
      DELETE FROM millrace.kv k USING old WHERE k.ctid = old.at RETURNING k.tenant, k.store, k.key, k.revision
    ), forgotten AS (
      DELETE FROM millrace.kv_versions v USING gone g WHERE v.tenant = g.tenant AND v.store = g.store AND v.key = g.key
    ), floors AS (
      UPDATE millrace.kv_stores s SET floor = greatest(s.floor, g.revision)
      FROM (SELECT tenant, store, max(revision) AS revision FROM gone GROUP BY tenant, store) AS g WHERE s.tenant = g.tenant AND s.store = g.store
    )
    SELECT 1 FROM gone`,
}

const forgetAnswers: Statement = {
  name: 'answers_sweep',
  repeatable: true,
  text: `WITH old AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.answers WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM millrace.answers a USING old WHERE a.ctid = old.at RETURNING 1`,
}

type FoundRow = KvRow & { readonly n: number; readonly before: number }

/** Keys and values on Postgres. */
export class PostgresKv implements KvStorage {
  readonly #context: Context
  readonly writer: KvWriter

  constructor(context: Context) {
    this.#context = context
    this.writer = new KvWriter(context)
  }

  write(request: KvWriteRequest): Promise<readonly KvOutcome[]> {
    return this.writer.write(request)
  }

  async read(scope: Scope, name: string, keys: readonly string[], { values, now }: { values: boolean; now: number }) {
    const parameters = [scope.tenant, scope.namespace, name, texts(keys), values, now]
    const rows = await this.#context.db.objects<FoundRow>(read, parameters)
    const cut = values ? rows.find((row) => row.before >= mostReadBytes) : undefined
    const found: (KvEntry | undefined)[] = Array.from({ length: cut ? cut.n - 1 : keys.length })
    for (const row of rows) if (row.n <= found.length) found[row.n - 1] = entryOf(row)
    return found
  }

  async list(
    scope: Scope,
    name: string,
    { prefix, after, limit, values, now }: { prefix: string; after?: string; limit: number; values: boolean; now: number },
  ): Promise<KvPage> {
    const most = Math.min(limit * 2, mostScanned)
    const parameters = [scope.tenant, scope.namespace, name, storable(after ?? prefix), storable(after ?? ''), values, most]
    const rows = await this.#context.db.objects<FoundRow>(list, parameters)
    const items: KvEntry[] = []
    let last: string | undefined
    for (const row of rows) {
      if (!row.key.startsWith(prefix)) return { items }
      if (items.length === limit || (values && row.before >= mostReadBytes)) return { items, next: last! }
      last = row.key
      if (isLive(row, now)) items.push(entryOf(row))
    }
    return rows.length === most ? { items, next: last! } : { items }
  }

  async history(scope: Scope, name: string, key: string): Promise<readonly KvChange[]> {
    const rows = await this.#context.db.objects<KvRow>(history, [scope.tenant, scope.namespace, name, storable(key)])
    return rows.map((row) => ({ type: row.type, entry: entryOf(row) }))
  }

  async changes(
    scope: Scope,
    name: string,
    { prefix, after, limit, now }: { prefix: string; after: number; limit: number; now: number },
  ): Promise<KvChanges> {
    const parameters = [scope.tenant, scope.namespace, name, after, storable(prefix), limit]
    const rows = await this.#context.db.objects<FoundRow & { latest: number; floor: number }>(changes, parameters)
    const [first] = rows
    if (!first) return { changes: [], upTo: after, more: false, floor: 0 }
    const found = rows.filter((row) => row.key !== null)
    const told = found.filter((row) => row.before < mostReadBytes)
    const more = found.length === limit || told.length < found.length
    const list = told
      .filter((row) => row.key.startsWith(prefix) && (row.type !== KvChangeType.set || isLive(row, now)))
      .map((row): KvChange => ({ type: row.type, entry: entryOf(row) }))
    return { changes: list, upTo: more ? told.at(-1)!.revision : Math.max(first.latest, after), more, floor: first.floor }
  }

  async settings(scope: Scope, name: string): Promise<KvSettings> {
    const [row] = await this.#context.db.objects<KvSettings>(settings, [scope.tenant, scope.namespace, name])
    return row ?? { name, history: 1, revision: 0 }
  }

  async update(scope: Scope, name: string, change: { history?: number }, now: number): Promise<KvSettings> {
    await this.#context.db.run(update, [scope.tenant, scope.namespace, name, change.history ?? null, now])
    if (change.history === 1) await this.#context.db.run(dropVersions, [scope.tenant, scope.namespace, name])
    return this.settings(scope, name)
  }

  stores(scope: Scope, page: { limit: number; after: string }): Promise<readonly KvSettings[]> {
    return this.#context.db.objects<KvSettings>(stores, [scope.tenant, scope.namespace, page.after, page.limit])
  }

  expire(now: number, limit: number): Promise<number> {
    return this.writer.expire(now, limit)
  }

  async nextExpiry(): Promise<number | undefined> {
    const [row] = await this.#context.db.run<[number | null]>(nextExpiry, [])
    return row?.[0] ?? undefined
  }

  async sweep(before: { deletions: number; answers: number }, limit: number): Promise<number> {
    const { db } = this.#context
    const deletions = (await db.run(sweep, [before.deletions, limit])).length
    return deletions + (await db.run(forgetAnswers, [before.answers, limit - deletions])).length
  }

  listen(listener: KvListener): void {
    this.#context.onTouch('kv', {
      touched: ({ tenant, namespace, name }) => listener.changed({ tenant, namespace, store: name }),
      missed: () => listener.missed(),
    })
  }

  close(): Promise<void> {
    return this.writer.close()
  }
}

function isLive(row: KvRow, now: number): boolean {
  return row.type === KvChangeType.set && (row.expiresAt === null || row.expiresAt > now)
}
