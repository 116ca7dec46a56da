import type { RowSet } from '@millrace/protocol'
import type { Clock } from '../../clock.ts'
import { MillraceError } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import { type LiveView, LiveViews, type ViewWatcher } from '../jobs/live-views.ts'
import type { TableEngine, TableResult } from './engine.ts'
import type { TableNews } from './table-news.ts'

/** Different selections of one namespace that are watched on one server: each is read again after changes. */
const mostSelections = 100

/** A selection to watch. */
export interface LiveSelection {
  readonly scope: Scope
  /** Names the selection with the user it is read as. Watchers of the same one share its reads. */
  readonly key: string
  /** Reads it. */
  read(): Promise<TableResult>
}

/** A namespace with watchers. */
interface Watched {
  readonly scope: Scope
  /** Watchers by selection. */
  readonly selections: Map<string, number>
  schema?: string
  /** Settles when its tables tell of changes; undefined when there may be new ones. */
  followed?: Promise<void> | undefined
}

/**
 * Shows selections as they change, whoever changed them: triggers tell of it at the commit. It is listened to before the first
 * read, so that nothing between is missed.
 */
export class LiveTables {
  readonly #engine: TableEngine
  readonly #views: LiveViews
  readonly #watched = new Map<string, Watched>()
  readonly #bySchema = new Map<string, Watched>()

  constructor(engine: TableEngine, clock: Clock) {
    this.#engine = engine
    this.#views = new LiveViews(clock)
  }

  /**
   * Shows a selection's rows, now and after each change, until what is returned is called.
   *
   * @throws QUOTA_EXCEEDED
   */
  watch(selection: LiveSelection, watcher: ViewWatcher<RowSet>): () => void {
    const { scope, key } = selection
    const watched = this.#join(scope, key)
    const stop = this.#views.watch(this.#viewOf(selection, watched), watcher)
    let left = false
    return () => {
      if (left) return
      left = true
      stop()
      this.#leave(watched, key)
    }
  }

  close(): void {
    this.#engine.news.leave(this.#onNews)
    this.#views.close()
  }

  #viewOf({ scope, key, read }: LiveSelection, watched: Watched): LiveView<RowSet> {
    return {
      ...scope,
      key,
      read: async () => {
        await this.#follow(watched)
        return (await read()).result
      },
      same: (a, b) => Buffer.compare(a.rows, b.rows) === 0 && JSON.stringify(a.columns) === JSON.stringify(b.columns),
    }
  }

  #join(scope: Scope, key: string): Watched {
    const id = idOf(scope)
    const watched = this.#watched.get(id) ?? { scope, selections: new Map() }
    const { selections } = watched
    if (!selections.has(key) && selections.size >= mostSelections) {
      throw new MillraceError(
        'QUOTA_EXCEEDED',
        `${mostSelections} different selections of this namespace are watched already, which is the most: watch fewer.`,
        { quota: { type: 'watched_selections', current: selections.size, limit: mostSelections } },
      )
    }
    selections.set(key, (selections.get(key) ?? 0) + 1)
    this.#watched.set(id, watched)
    return watched
  }

  #leave(watched: Watched, key: string): void {
    const { selections } = watched
    const others = selections.get(key)! - 1
    if (others > 0) selections.set(key, others)
    else selections.delete(key)
    if (selections.size > 0) return
    this.#watched.delete(idOf(watched.scope))
    if (watched.schema !== undefined && this.#bySchema.get(watched.schema) === watched) this.#bySchema.delete(watched.schema)
  }

  /** Listens, and has the namespace's tables tell. */
  async #follow(watched: Watched): Promise<void> {
    await this.#engine.news.listen(this.#onNews)
    const { scope, selections } = watched
    const place = await this.#engine.find(scope)
    // Without a place the read says what is missing.
    if (!place || selections.size === 0) return
    watched.schema = place.schema
    this.#bySchema.set(place.schema, watched)
    watched.followed ??= this.#engine.follow(scope, place)
    const { followed } = watched
    await followed.catch((error) => {
      if (watched.followed === followed) watched.followed = undefined
      throw error
    })
  }

  readonly #onNews = ({ schema, tables }: TableNews): void => {
    if (schema === undefined) {
      for (const watched of this.#watched.values()) watched.followed = undefined
      this.#views.touchAll()
      return
    }
    const watched = this.#bySchema.get(schema)
    if (!watched) return
    if (tables) watched.followed = undefined
    this.#views.touched(watched.scope, '')
  }
}

function idOf({ tenant, namespace }: Scope): string {
  return `${tenant}/${namespace}`
}
