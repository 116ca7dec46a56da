import type { StatementSync } from 'node:sqlite'
import { MillraceError } from '../../../errors.ts'
import type { KvListener, KvSettings } from '../../kv-port.ts'
import type { Scope, TenantId } from '../../ports.ts'
import { mostOf } from '../../quotas.ts'
import type { Context } from '../context.ts'

/** A store of keys and values, in memory. */
export interface StoreEntry extends Scope {
  readonly number: number
  readonly name: string
  readonly createdAt: number
  history: number
  /** Revisions given in a transaction that failed are skipped. */
  revision: number
  floor: number
}

/** Most stores of a tenant: they stay in memory. */
const most = mostOf.kv_stores

/** The stores with their revisions: kept in memory, written with the transaction that changed them, and told of after it. */
export class Stores {
  listener: KvListener = { changed() {}, missed() {} }
  readonly #context: Context
  readonly #byName = new Map<string, StoreEntry>()
  readonly #byNumber = new Map<number, StoreEntry>()
  readonly #perTenant = new Map<TenantId, number>()
  readonly #dirty = new Set<StoreEntry>()
  readonly #insert: StatementSync
  readonly #update: StatementSync
  #lastNumber = 0

  constructor(context: Context) {
    this.#context = context
    const { db } = context
    this.#insert = db.prepare('INSERT INTO kv_stores (tenant, store, namespace, name, created_at) VALUES (?, ?, ?, ?, ?)')
    this.#update = db.prepare('UPDATE kv_stores SET history = ?, revision = ?, floor = ? WHERE tenant = ? AND store = ?')
    for (const row of db.prepare('SELECT * FROM kv_stores').iterate()) {
      this.#add({
        tenant: Number(row.tenant),
        namespace: String(row.namespace),
        number: Number(row.store),
        name: String(row.name),
        createdAt: Number(row.created_at),
        history: Number(row.history),
        revision: Number(row.revision),
        floor: Number(row.floor),
      })
    }
    context.beforeCommit(() => this.#write())
  }

  /** The store, when it was used before. */
  find(scope: Scope, name: string): StoreEntry | undefined {
    return this.#byName.get(keyOf(scope, name))
  }

  /** The store of a number found in a row. */
  numbered(number: number): StoreEntry {
    return this.#byNumber.get(number)!
  }

  /** Every store of a namespace. */
  *of({ tenant, namespace }: Scope): Iterable<StoreEntry> {
    for (const store of this.#byNumber.values()) if (store.tenant === tenant && store.namespace === namespace) yield store
  }

  /** Inside a mutation: the store, made when it is new. */
  ensure(scope: Scope, name: string, now: number): StoreEntry {
    const known = this.find(scope, name)
    if (known) return known
    const { tenant, namespace } = scope
    const current = this.#perTenant.get(tenant) ?? 0
    if (current >= most) {
      throw new MillraceError('QUOTA_EXCEEDED', `There are ${current} KV stores, which is the most there may be. Use fewer names.`, {
        quota: { type: 'kv_stores', current, limit: most },
      })
    }
    const store: StoreEntry = {
      tenant,
      namespace,
      number: this.#lastNumber + 1,
      name,
      createdAt: now,
      history: 1,
      revision: 0,
      floor: 0,
    }
    this.#insert.run(tenant, store.number, namespace, name, now)
    this.#add(store)
    this.#context.writer.onRevert(() => {
      this.#byName.delete(keyOf(scope, name))
      this.#byNumber.delete(store.number)
      this.#perTenant.set(tenant, current)
    })
    return store
  }

  /** Inside a mutation: the revision of the next change. */
  next(store: StoreEntry): number {
    this.#dirty.add(store)
    return ++store.revision
  }

  /** Inside a mutation: changes what is known of a store. */
  change(store: StoreEntry, change: { readonly history?: number; readonly floor?: number }): void {
    const before = { history: store.history, floor: store.floor }
    Object.assign(store, change)
    this.#dirty.add(store)
    this.#context.writer.onRevert(() => Object.assign(store, before))
  }

  #write(): void {
    if (this.#dirty.size === 0) return
    const changed = [...this.#dirty]
    this.#dirty.clear()
    for (const { history, revision, floor, tenant, number } of changed) this.#update.run(history, revision, floor, tenant, number)
    this.#context.writer.afterwards(() => {
      for (const { tenant, namespace, name } of changed) this.listener.changed({ tenant, namespace, store: name })
    })
  }

  #add(store: StoreEntry): void {
    this.#byName.set(keyOf(store, store.name), store)
    this.#byNumber.set(store.number, store)
    this.#perTenant.set(store.tenant, (this.#perTenant.get(store.tenant) ?? 0) + 1)
    this.#lastNumber = Math.max(this.#lastNumber, store.number)
  }
}

/** A store's settings; defaults when it was never used. */
export function settingsOf(name: string, store: StoreEntry | undefined): KvSettings {
  return { name, history: store?.history ?? 1, revision: store?.revision ?? 0, createdAt: store?.createdAt }
}

function keyOf({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}
