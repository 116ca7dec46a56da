import type { StatementSync } from 'node:sqlite'
import { KvChangeType, type KvOutcome, type KvWrite, type KvWriteRequest } from '../../kv-port.ts'
import { effectOf, looksFirst, recall, refusalOf, remember, requestKey } from '../../kv-rules.ts'
import type { Context } from '../context.ts'
import { columns, entryOf, isLive, type KvRow } from './rows.ts'
import type { StoreEntry, Stores } from './stores.ts'

/** Changes keys, and forgets those whose time is over. */
export class KvWriter {
  readonly #context: Context
  readonly #stores: Stores
  readonly #get: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #keep: StatementSync
  readonly #trim: StatementSync
  readonly #due: StatementSync
  readonly #next: StatementSync
  readonly #gone: StatementSync
  readonly #forget: readonly StatementSync[]
  readonly #forgetAnswers: StatementSync
  readonly #findAnswer: StatementSync
  readonly #insertAnswer: StatementSync

  constructor(context: Context, stores: Stores) {
    this.#context = context
    this.#stores = stores
    const { db } = context
    const row = 'tenant = ? AND store = ? AND key = ?'
    this.#get = db.prepare(`SELECT ${columns} FROM kv WHERE ${row}`)
    this.#put = db.prepare(`INSERT INTO kv (tenant, store, key, revision, type, value, content_type, expires_at, updated_at)
      VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision, type = 1, value = excluded.value,
      content_type = excluded.content_type, expires_at = excluded.expires_at, updated_at = excluded.updated_at`)
    this.#remove = db.prepare(
      `UPDATE kv SET revision = ?, type = ?, value = NULL, content_type = '', expires_at = NULL, updated_at = ? WHERE ${row}`,
    )
    this.#keep = db.prepare(`INSERT INTO kv_versions (tenant, store, ${columns}) SELECT tenant, store, ${columns} FROM kv WHERE ${row}`)
    // Of the versions before the present one, all but the latest `history - 1`.
    this.#trim = db.prepare(`DELETE FROM kv_versions WHERE tenant = ?1 AND store = ?2 AND key = ?3 AND revision <=
      (SELECT revision FROM kv_versions WHERE tenant = ?1 AND store = ?2 AND key = ?3 ORDER BY revision DESC LIMIT 1 OFFSET ?4)`)
    this.#due = db.prepare('SELECT tenant, store, key FROM kv WHERE expires_at <= ? ORDER BY expires_at LIMIT ?')
    this.#next = db.prepare('SELECT min(expires_at) AS due FROM kv WHERE expires_at IS NOT NULL')
    this.#gone = db.prepare('SELECT tenant, store, key, revision FROM kv WHERE type > 1 AND updated_at < ? ORDER BY updated_at LIMIT ?')
    this.#forget = ['kv', 'kv_versions'].map((table) => db.prepare(`DELETE FROM ${table} WHERE ${row}`))
    this.#forgetAnswers = db.prepare(`DELETE FROM answers WHERE (tenant, id) IN
      (SELECT tenant, id FROM answers WHERE created_at < ? ORDER BY created_at LIMIT ?)`)
    this.#findAnswer = db.prepare('SELECT answer FROM answers WHERE tenant = ? AND id = ?')
    this.#insertAnswer = db.prepare('INSERT INTO answers (tenant, id, answer, created_at) VALUES (?, ?, ?, ?)')
  }

  run(request: KvWriteRequest): Promise<readonly KvOutcome[]> {
    return this.#context.writer.mutate(() => this.apply(request))
  }

  /** Inside a mutation. */
  apply(request: KvWriteRequest): readonly KvOutcome[] {
    const { scope, requestId, now } = request
    if (requestId !== '') {
      const known = this.#findAnswer.get(scope.tenant, requestKey(request))
      if (known) return recall(String(known.answer))
    }
    const store = this.#stores.ensure(scope, request.store, now)
    const outcomes = request.writes.map((write): KvOutcome => {
      try {
        return this.#one(store, write, now)
      } catch (error) {
        return refusalOf(request, error)
      }
    })
    if (requestId !== '') this.#insertAnswer.run(scope.tenant, requestKey(request), remember(outcomes), now)
    return outcomes
  }

  expire(now: number, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const rows = this.#due.all(now, limit)
      for (const row of rows) this.#end(this.#stores.numbered(Number(row.store)), String(row.key), KvChangeType.expired, now)
      return rows.length
    })
  }

  nextExpiry(): number | undefined {
    const due = this.#next.get()?.due
    return typeof due === 'number' ? due : undefined
  }

  sweep(before: { deletions: number; answers: number }, limit: number): Promise<number> {
    return this.#context.writer.mutate(() => {
      const rows = this.#gone.all(before.deletions, limit)
      for (const row of rows) {
        const store = this.#stores.numbered(Number(row.store))
        this.#stores.change(store, { floor: Math.max(store.floor, Number(row.revision)) })
        for (const statement of this.#forget) statement.run(Number(row.tenant), store.number, String(row.key))
      }
      return rows.length + Number(this.#forgetAnswers.run(before.answers, limit - rows.length).changes)
    })
  }

  #one(store: StoreEntry, write: KvWrite, now: number): KvOutcome {
    const { tenant, number } = store
    const { key } = write
    const row = looksFirst(write) ? (this.#get.get(tenant, number, key) as KvRow | undefined) : undefined
    const current = row && isLive(row, now) ? entryOf(row) : undefined
    const effect = effectOf(write, current)
    if (effect.type === 'nothing') return { revision: 0, deleted: false }
    if (effect.type === 'remove') return { revision: this.#end(store, key, KvChangeType.deleted, now), deleted: true }
    this.#keepVersion(store, key)
    const revision = this.#stores.next(store)
    this.#put.run(tenant, number, key, revision, effect.value, effect.contentType, effect.expiresAt ?? null, now)
    return effect.number === undefined ? { revision } : { revision, number: effect.number }
  }

  #end(store: StoreEntry, key: string, type: KvChangeType, now: number): number {
    this.#keepVersion(store, key)
    const revision = this.#stores.next(store)
    this.#remove.run(revision, type, now, store.tenant, store.number, key)
    return revision
  }

  #keepVersion({ tenant, number, history }: StoreEntry, key: string): void {
    if (history === 1) return
    this.#keep.run(tenant, number, key)
    this.#trim.run(tenant, number, key, history - 1)
  }
}
