import { type KvChangeType, type KvEntry, type KvOutcome, type KvWrite, type KvWriteRequest, KvChangeType as Type } from '../../kv-port.ts'
import { effectOf, looksFirst, recall, refusalOf, remember, requestKey } from '../../kv-rules.ts'
import type { TenantId } from '../../ports.ts'

/** A row of `kv`. */
export interface KvRow {
  readonly key: string
  readonly revision: number
  readonly type: KvChangeType
  readonly value: Uint8Array | null
  readonly contentType: string
  readonly expiresAt: number | null
  readonly updatedAt: number
}

/** A store whose row this transaction holds. */
export interface HeldStore {
  readonly tenant: TenantId
  readonly number: number
  readonly history: number
  revision: number
}

/** What is asked of a store: by callers, or by time. */
export type Task = Omit<KvWriteRequest, 'writes'> & {
  readonly writes: readonly (KvWrite | { readonly type: 'expire'; readonly key: string })[]
}

/** A row to write. */
export interface NewRow extends KvRow {
  readonly store: HeldStore
}

/** What a batch of tasks comes to: each in turn, as if it were alone. Nothing is written; a refused task leaves no trace. */
export class KvPlan {
  readonly #rows: Map<string, NewRow>
  readonly #written = new Map<string, NewRow>()
  readonly versions: NewRow[] = []
  readonly remembered = new Map<string, { readonly tenant: TenantId; readonly id: string; readonly answer: string; readonly now: number }>()
  readonly #known: ReadonlyMap<string, string>

  /**
   * @param current - rows that are there, of all keys that matter; by {@link rowKey}.
   * @param known - answers remembered, by tenant and id.
   */
  constructor(current: Map<string, NewRow>, known: ReadonlyMap<string, string>) {
    this.#rows = current
    this.#known = known
  }

  /** The rows to write: the last of each key. */
  get written(): readonly NewRow[] {
    return [...this.#written.values()]
  }

  /** Adds a task; returns its answer, or throws why it is refused. */
  add(task: Task, store: HeldStore): readonly KvOutcome[] {
    const { tenant } = task.scope
    const id = task.requestId === '' ? undefined : requestKey(task as KvWriteRequest)
    const before = id && (this.remembered.get(`${tenant} ${id}`)?.answer ?? this.#known.get(`${tenant} ${id}`))
    if (before !== undefined && before !== '') return recall(before)
    const revision = store.revision
    const versions = this.versions.length
    const undo: (() => void)[] = []
    try {
      const outcomes = task.writes.map((write) => this.#one(task, store, write, undo))
      if (id) this.remembered.set(`${tenant} ${id}`, { tenant, id, answer: remember(outcomes), now: task.now })
      return outcomes
    } catch (error) {
      for (const revert of undo.reverse()) revert()
      store.revision = revision
      this.versions.length = versions
      throw error
    }
  }

  #one(task: Task, store: HeldStore, write: Task['writes'][number], undo: (() => void)[]): KvOutcome {
    const row = this.#rows.get(rowKey(store, write.key))
    if (write.type === 'expire') {
      if (!row || row.type !== Type.set || row.expiresAt === null || row.expiresAt > task.now) return { revision: 0 }
      return { revision: this.#put(store, goneRow(write.key, Type.expired, task.now), undo) }
    }
    try {
      const live = row && row.type === Type.set && (row.expiresAt === null || row.expiresAt > task.now)
      const effect = effectOf(write, live ? entryOf(row) : undefined)
      if (effect.type === 'nothing') return { revision: 0, deleted: false }
      if (effect.type === 'remove') return { revision: this.#put(store, goneRow(write.key, Type.deleted, task.now), undo), deleted: true }
      const { value, contentType, expiresAt = null, number } = effect
      const revision = this.#put(store, { key: write.key, type: Type.set, value, contentType, expiresAt, updatedAt: task.now }, undo)
      return number === undefined ? { revision } : { revision, number }
    } catch (error) {
      return refusalOf(task as KvWriteRequest, error)
    }
  }

  #put(store: HeldStore, change: Omit<KvRow, 'revision'>, undo: (() => void)[]): number {
    const at = rowKey(store, change.key)
    const before = this.#rows.get(at)
    const writtenBefore = this.#written.get(at)
    if (before && store.history > 1) this.versions.push(before)
    const row: NewRow = { ...change, store, revision: ++store.revision }
    this.#rows.set(at, row)
    this.#written.set(at, row)
    undo.push(() => {
      restore(this.#rows, at, before)
      restore(this.#written, at, writtenBefore)
    })
    return row.revision
  }
}

/** True when the row of this write must be read before it is planned. */
export function needsRow(write: Task['writes'][number], store: HeldStore): boolean {
  return write.type === 'expire' || store.history > 1 || looksFirst(write)
}

/** Names a row. */
export function rowKey({ tenant, number }: HeldStore, key: string): string {
  return `${tenant} ${number} ${key}`
}

/** A row as the domain sees it. */
export function entryOf(row: KvRow): KvEntry {
  const { key, value, contentType, revision, expiresAt, updatedAt } = row
  return { key, value: value ?? undefined, contentType, revision, expiresAt: expiresAt ?? undefined, updatedAt }
}

function goneRow(key: string, type: KvChangeType, updatedAt: number): Omit<KvRow, 'revision'> {
  return { key, type, value: null, contentType: '', expiresAt: null, updatedAt }
}

function restore<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
