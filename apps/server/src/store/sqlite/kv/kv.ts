import type { StatementSync } from 'node:sqlite'
import type { KvChange, KvChanges, KvEntry, KvListener, KvOutcome, KvPage, KvSettings, KvStorage, KvWriteRequest } from '../../kv-port.ts'
import { mostReadBytes, mostScanned } from '../../kv-rules.ts'
import type { Scope } from '../../ports.ts'
import type { Context } from '../context.ts'
import { changeOf, columns, entryOf, isLive, type KvRow, narrow } from './rows.ts'
import { Stores, settingsOf } from './stores.ts'
import { KvWriter } from './write.ts'

/** Keys and values on SQLite. */
export class SqliteKv implements KvStorage {
  readonly #context: Context
  readonly #stores: Stores
  readonly #writer: KvWriter
  readonly #get: StatementSync
  readonly #getNarrow: StatementSync
  readonly #page: StatementSync
  readonly #changes: StatementSync
  readonly #versions: StatementSync
  readonly #dropVersions: StatementSync

  constructor(context: Context) {
    this.#context = context
    this.#stores = new Stores(context)
    this.#writer = new KvWriter(context, this.#stores)
    const { db } = context
    const row = 'tenant = ? AND store = ? AND key = ?'
    this.#get = db.prepare(`SELECT ${columns} FROM kv WHERE ${row}`)
    this.#getNarrow = db.prepare(`SELECT ${narrow} FROM kv WHERE ${row}`)
    this.#page = db.prepare(`SELECT ${narrow} FROM kv WHERE tenant = ? AND store = ? AND key >= ? ORDER BY key LIMIT ?`)
    this.#changes = db.prepare(`SELECT ${narrow} FROM kv WHERE tenant = ? AND store = ? AND revision > ? ORDER BY revision LIMIT ?`)
    this.#versions = db.prepare(
      `SELECT ${columns} FROM kv WHERE ${row} UNION ALL SELECT ${columns} FROM kv_versions WHERE ${row} ORDER BY 2 DESC LIMIT ?`,
    )
    this.#dropVersions = db.prepare('DELETE FROM kv_versions WHERE tenant = ? AND store = ?')
  }

  write(request: KvWriteRequest): Promise<readonly KvOutcome[]> {
    return this.#writer.run(request)
  }

  /** Inside a mutation of other work. */
  writeInside(request: KvWriteRequest): readonly KvOutcome[] {
    return this.#writer.apply(request)
  }

  read(scope: Scope, name: string, keys: readonly string[], options: { values: boolean; now: number }) {
    return this.#context.read(() => {
      const store = this.#stores.find(scope, name)
      const select = options.values ? this.#get : this.#getNarrow
      const found: (KvEntry | undefined)[] = []
      let bytes = 0
      for (const key of keys) {
        if (bytes >= mostReadBytes) break
        const row = store && (select.get(store.tenant, store.number, key) as KvRow | undefined)
        const entry = row && isLive(row, options.now) ? entryOf(row) : undefined
        bytes += entry?.value?.length ?? 0
        found.push(entry)
      }
      return found
    })
  }

  list(
    scope: Scope,
    name: string,
    { prefix, after, limit, values, now }: { prefix: string; after?: string; limit: number; values: boolean; now: number },
  ): Promise<KvPage> {
    return this.#context.read(() => {
      const store = this.#stores.find(scope, name)
      if (!store) return { items: [] }
      const items: KvEntry[] = []
      let bytes = 0
      let scanned = 0
      let last = after
      for (const row of this.#page.iterate(store.tenant, store.number, after ?? prefix, mostScanned + 1) as Iterable<unknown>) {
        const narrowRow = row as KvRow
        if (narrowRow.key === after) continue
        if (!narrowRow.key.startsWith(prefix)) return { items }
        if (items.length === limit || bytes >= mostReadBytes || scanned++ === mostScanned) return { items, next: last! }
        last = narrowRow.key
        if (!isLive(narrowRow, now)) continue
        const full = values ? (this.#get.get(store.tenant, store.number, narrowRow.key) as unknown as KvRow) : narrowRow
        bytes += full.value?.length ?? 0
        items.push(entryOf(full))
      }
      return scanned === mostScanned ? { items, next: last! } : { items }
    })
  }

  history(scope: Scope, name: string, key: string): Promise<readonly KvChange[]> {
    return this.#context.read(() => {
      const store = this.#stores.find(scope, name)
      if (!store) return []
      const of = [store.tenant, store.number, key]
      return (this.#versions.all(...of, ...of, store.history) as unknown as KvRow[]).map(changeOf)
    })
  }

  changes(
    scope: Scope,
    name: string,
    { prefix, after, limit, now }: { prefix: string; after: number; limit: number; now: number },
  ): Promise<KvChanges> {
    return this.#context.read(() => {
      const store = this.#stores.find(scope, name)
      if (!store) return { changes: [], upTo: after, more: false, floor: 0 }
      const changes: KvChange[] = []
      let upTo = Math.max(after, store.revision)
      let bytes = 0
      const rows = this.#changes.all(store.tenant, store.number, after, limit) as unknown as KvRow[]
      for (const row of rows) {
        if (bytes >= mostReadBytes) break
        upTo = row.revision
        if (!row.key.startsWith(prefix) || (row.type === 1 && !isLive(row, now))) continue
        const full = row.type === 1 ? (this.#get.get(store.tenant, store.number, row.key) as unknown as KvRow) : row
        bytes += full.value?.length ?? 0
        changes.push(changeOf(full))
      }
      const more = rows.length === limit || (rows.length > 0 && upTo < rows.at(-1)!.revision)
      return { changes, upTo: more ? upTo : Math.max(upTo, store.revision), more, floor: store.floor }
    })
  }

  async settings(scope: Scope, name: string): Promise<KvSettings> {
    return settingsOf(name, this.#stores.find(scope, name))
  }

  update(scope: Scope, name: string, change: { history?: number }, now: number): Promise<KvSettings> {
    return this.#context.writer.mutate(() => {
      const store = this.#stores.ensure(scope, name, now)
      if (change.history !== undefined) this.#stores.change(store, { history: change.history })
      if (change.history === 1) this.#dropVersions.run(store.tenant, store.number)
      return settingsOf(name, store)
    })
  }

  async stores(scope: Scope, page: { limit: number; after: string }): Promise<readonly KvSettings[]> {
    return [...this.#stores.of(scope)]
      .filter((store) => store.name > page.after)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .slice(0, page.limit)
      .map((store) => settingsOf(store.name, store))
  }

  expire(now: number, limit: number): Promise<number> {
    return this.#writer.expire(now, limit)
  }

  nextExpiry(): Promise<number | undefined> {
    return this.#context.read(() => this.#writer.nextExpiry())
  }

  sweep(before: { deletions: number; answers: number }, limit: number): Promise<number> {
    return this.#writer.sweep(before, limit)
  }

  listen(listener: KvListener): void {
    this.#stores.listener = listener
  }
}
