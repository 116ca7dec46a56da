import type { RowColumn } from '@millrace/protocol'
import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type { TableConnection } from './backend.ts'
import { type ChangeImages, type ChangeSelection, showImages } from './change-images.ts'
import {
  type ChangeCursor,
  dropForgotten,
  type FollowedTable,
  followChanges,
  keepFollowing,
  type ReadChanges,
  readChanges,
  readCursor,
  writeCursor,
} from './change-log.ts'
import type { TableEngine } from './engine.ts'
import type { Place } from './namespaces.ts'
import type { TableNews } from './table-news.ts'

/** Watchers of changes in one namespace on one server. */
const mostWatchers = 100
/** Time between two reads of one watcher, in milliseconds: what comes in it is read together. */
const readEveryMs = 50
/** How often a watcher of a quiet table is told where it stands, and each table is kept followed, in milliseconds. */
const tellEveryMs = 30_000
const keepEveryMs = 60_000
/** When what nobody watches any more is looked for, after the last one has left. */
const forgetMs = 16 * 60_000

/** What somebody watches. */
export interface WatchedChanges extends ChangeSelection {
  readonly scope: Scope
  readonly user: string
  readonly table: string
  /** A cursor to begin after; '' begins now. */
  readonly after: string
}

/** A change of a selection. */
export interface RowChange {
  readonly type: 'insert' | 'update' | 'delete' | 'truncate'
  /** JSON objects. */
  readonly row: string | undefined
  readonly old: string | undefined
  /** Milliseconds since 1970. */
  readonly at: number
  readonly cursor: string
}

/** Changes that were read together; none: a cursor alone. */
export interface RowChangeBatch {
  readonly columns: RowColumn[]
  readonly changes: readonly RowChange[]
  readonly cursor: string
}

/** The changes of rows, for who watches them. */
export class RowChanges {
  readonly #engine: TableEngine
  readonly #clock: Clock
  readonly #watchers = new Set<ChangeWatcher>()
  /** Timers that end what nobody watches any more, by schema. */
  readonly #forgetting = new Map<string, () => void>()

  constructor(engine: TableEngine, clock: Clock) {
    this.#engine = engine
    this.#clock = clock
  }

  /**
   * Watches changes.
   *
   * @param wake - called when {@link ChangeWatcher.read} may have more.
   * @throws NOT_FOUND, VALIDATION, QUOTA_EXCEEDED, FAILED_PRECONDITION when what follows the cursor is not kept any more.
   */
  async watch(watched: WatchedChanges, wake: () => void): Promise<ChangeWatcher> {
    const after = watched.after === '' ? undefined : readCursor('after', watched.after)
    const { scope } = watched
    const others = [...this.#watchers].filter((each) => sameScope(each.scope, scope)).length
    if (others >= mostWatchers) {
      const message = `The changes of ${mostWatchers} selections of this namespace are watched already, which is the most: watch fewer.`
      throw new MillraceError('QUOTA_EXCEEDED', message, { quota: { type: 'watched_changes', current: others, limit: mostWatchers } })
    }
    const place = await this.#engine.place(scope, { field: 'table', table: watched.table })
    const watcher = new ChangeWatcher(this.#engine, this.#clock, watched, place, wake)
    this.#watchers.add(watcher)
    try {
      await this.#engine.news.listen(this.#onNews)
      await watcher.begin(after)
    } catch (error) {
      this.leave(watcher)
      throw error
    }
    return watcher
  }

  /** Ends a watcher. */
  leave(watcher: ChangeWatcher): void {
    if (!this.#watchers.delete(watcher)) return
    watcher.close()
    if ([...this.#watchers].some((each) => each.place.schema === watcher.place.schema)) return
    const { scope, place } = watcher
    const { schema } = place
    this.#forgetting.get(schema)?.()
    const forget = () => {
      this.#forgetting.delete(schema)
      const drop = (connection: TableConnection) => dropForgotten(connection, schema)
      // What fails now is looked for again by the next watcher.
      this.#engine.work({ scope, user: '' }, place, { field: 'table' }, drop, true).catch(() => undefined)
    }
    this.#forgetting.set(schema, this.#clock.timer(forgetMs, forget))
  }

  /** Ends all watchers. */
  close(): void {
    this.#engine.news.leave(this.#onNews)
    for (const cancel of this.#forgetting.values()) cancel()
    for (const watcher of this.#watchers) watcher.close()
  }

  readonly #onNews = ({ schema, tables }: TableNews): void => {
    for (const watcher of this.#watchers) if (schema === undefined || watcher.place.schema === schema) watcher.onNews(tables)
  }
}

/** Somebody who watches the changes of a table. */
export class ChangeWatcher {
  readonly #engine: TableEngine
  readonly #clock: Clock
  readonly #watched: WatchedChanges
  readonly #wake: () => void
  /** Where the table is. */
  readonly place: Place
  #followed!: FollowedTable
  #cursor!: ChangeCursor
  /** True: something was committed since the last read. */
  #stirred = true
  /** True: the table may be another, or gone. */
  #altered = false
  #readAt = Number.NEGATIVE_INFINITY
  #toldAt = Number.NEGATIVE_INFINITY
  #keptAt = 0
  #closed = false
  #cancelTimer: (() => void) | undefined

  constructor(engine: TableEngine, clock: Clock, watched: WatchedChanges, place: Place, wake: () => void) {
    this.#engine = engine
    this.#clock = clock
    this.#watched = watched
    this.place = place
    this.#wake = wake
  }

  /** The namespace. */
  get scope(): Scope {
    return this.#watched.scope
  }

  /** Begins to follow the table. */
  async begin(after: ChangeCursor | undefined): Promise<void> {
    this.#keptAt = this.#clock.now()
    await this.#asOwner(async (connection) => {
      this.#followed = await followChanges(connection, this.place.schema, this.#watched.table)
      const { rows } = await connection.query('SELECT pg_catalog.pg_current_snapshot()')
      this.#cursor = after ?? { watch: this.#followed.watch, from: rows[0]![0]!, to: '', seq: 0 }
    })
    if (this.#cursor.watch !== this.#followed.watch) throw notKept()
    // What is wrong with the selection is told at once, not with the first change.
    await this.#show('[]')
  }

  /** Hears that something was committed. */
  onNews(tables: boolean): void {
    this.#stirred = true
    this.#altered ||= tables
    this.#wake()
  }

  /**
   * The next changes; undefined when there are none now.
   *
   * @throws FAILED_PRECONDITION when changes were missed, NOT_FOUND when the table is gone.
   */
  async read(): Promise<RowChangeBatch | undefined> {
    const now = this.#clock.now()
    if (this.#cursor.to === '') {
      if (!this.#stirred) return undefined
      const wait = this.#readAt + readEveryMs - now
      if (wait > 0) {
        this.#wakeIn(wait)
        return undefined
      }
    }
    this.#stirred = false
    this.#readAt = now
    this.#wakeIn(tellEveryMs)
    const found = await this.#asOwner(async (connection) => {
      const { schema } = this.place
      const keep = this.#keptAt + keepEveryMs <= now
      if (keep) this.#keptAt = now
      if (keep && !(await keepFollowing(connection, schema, this.#followed))) return undefined
      return readChanges(connection, schema, this.#cursor)
    })
    if (!found || this.#altered) await this.#checkThere()
    if (!found?.whole) throw notKept()
    return found.heads.length > 0 ? this.#take(found, now) : this.#pass(found, now)
  }

  /** Ends it. */
  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
  }

  async #take({ now: snapshot, heads, images }: ReadChanges, now: number): Promise<RowChangeBatch | undefined> {
    const { watch, from } = this.#cursor
    const to = this.#cursor.to || snapshot
    const shown = await this.#show(images)
    const changes = heads.flatMap(([seq, at, emptied]): RowChange[] => {
      const [old, row] = [shown.old.get(seq), shown.new.get(seq)]
      const cursor = writeCursor({ watch, from, to, seq })
      if (emptied) return [{ type: 'truncate', row: undefined, old: undefined, at, cursor }]
      if (row !== undefined) return [{ type: old === undefined ? 'insert' : 'update', row, old, at, cursor }]
      return old === undefined ? [] : [{ type: 'delete', row: old, old: undefined, at, cursor }]
    })
    this.#cursor = { watch, from, to, seq: heads.at(-1)![0] }
    if (changes.length === 0) return this.read()
    this.#toldAt = now
    return { columns: shown.columns, changes, cursor: writeCursor(this.#cursor) }
  }

  /** Nothing more is where it reads: it reads on from there. */
  async #pass({ now: snapshot }: ReadChanges, now: number): Promise<RowChangeBatch | undefined> {
    const { watch, to } = this.#cursor
    this.#cursor = { watch, from: to || snapshot, to: '', seq: 0 }
    if (to !== '') {
      // There may be more since.
      this.#stirred = true
      return this.read()
    }
    if (this.#toldAt + tellEveryMs > now) return undefined
    this.#toldAt = now
    return { columns: [], changes: [], cursor: writeCursor(this.#cursor) }
  }

  #show(images: string): Promise<ChangeImages> {
    const { scope, user, table } = this.#watched
    const at = { schema: this.place.schema, table, oid: this.#followed.oid }
    const show = (connection: TableConnection) => showImages(connection, at, this.#watched, images, user !== '')
    return this.#engine.work({ scope, user, readOnly: user !== '' }, this.place, { field: 'table', table }, show, true)
  }

  #asOwner<T>(work: (connection: TableConnection) => Promise<T>): Promise<T> {
    const { scope, table } = this.#watched
    return this.#engine.work({ scope, user: '' }, this.place, { field: 'table', table }, work, true)
  }

  /** @throws NOT_FOUND when the table is gone. */
  async #checkThere(): Promise<void> {
    this.#altered = false
    const { table } = this.#watched
    const { rows } = await this.#asOwner((connection) =>
      connection.query(`SELECT FROM pg_catalog.pg_class WHERE oid = $1::oid AND relname = $2`, [this.#followed.oid, table]),
    )
    if (rows.length === 0) throw new MillraceError('NOT_FOUND', `The table '${table}' is gone.`, { resource: 'table', id: table })
  }

  #wakeIn(ms: number): void {
    this.#cancelTimer?.()
    if (this.#closed) return
    this.#cancelTimer = this.#clock.timer(ms, () => {
      this.#stirred = true
      this.#wake()
    })
  }
}

function sameScope(a: Scope, b: Scope): boolean {
  return a.tenant === b.tenant && a.namespace === b.namespace
}

function notKept(): MillraceError {
  return new MillraceError(
    'FAILED_PRECONDITION',
    'What changed after this cursor is not kept any more. Read the rows again, and watch their changes from now on.',
  )
}
