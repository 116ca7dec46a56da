import type { Clock } from '../../clock.ts'
import type { JobChange, Scope, TenantId } from '../../store/ports.ts'

/** Changes are gathered this long before a view is read again: what follows from one another comes together. */
const gatherMs = 20
/** The shortest time between two reads of one view, however much changes. */
const intervalMs = 200

/** Something that is read again when it may have changed. */
export interface LiveView<T> {
  /** Names what is shown. Watchers of the same name in the same place share one view. */
  readonly key: string
  readonly tenant: TenantId
  /** Undefined: all namespaces of the tenant. */
  readonly namespace?: string
  /** Undefined: all queues. */
  readonly queue?: string
  /** Read again after so long without a change too, for what sends no event. */
  readonly refreshMs?: number
  read(): Promise<T>
  /** True when nothing of what is shown differs. */
  same(a: T, b: T): boolean
}

/** Somebody who looks at a view. Must not throw. */
export interface ViewWatcher<T> {
  /** What is shown now; again after each change. */
  show(value: T): void
  /** It could not be read. Nothing follows. */
  fail(error: unknown): void
}

/** A view while somebody looks. */
class OpenView<T> {
  readonly view: LiveView<T>
  readonly watchers = new Set<ViewWatcher<T>>()
  readonly #clock: Clock
  readonly #failed: (view: OpenView<T>) => void
  #shown: { readonly value: T } | undefined
  #cancelTimer: () => void = () => undefined
  #waiting = false
  #reading = false
  #changed = false
  #readAt = 0

  constructor(view: LiveView<T>, clock: Clock, failed: (view: OpenView<T>) => void) {
    this.view = view
    this.#clock = clock
    this.#failed = failed
  }

  join(watcher: ViewWatcher<T>): void {
    this.watchers.add(watcher)
    if (this.#shown) watcher.show(this.#shown.value)
    else if (!this.#reading) void this.#read()
  }

  /** It may have changed. */
  touch(): void {
    if (this.#reading) this.#changed = true
    else if (!this.#waiting) this.#readIn(this.#readAt + intervalMs - this.#clock.now())
  }

  close(): void {
    this.#cancelTimer()
    this.watchers.clear()
  }

  #readIn(ms: number, waiting = true): void {
    this.#cancelTimer()
    this.#waiting = waiting
    this.#cancelTimer = this.#clock.timer(ms, () => void this.#read())
  }

  async #read(): Promise<void> {
    this.#waiting = false
    this.#reading = true
    this.#changed = false
    this.#readAt = this.#clock.now()
    try {
      const value = await this.view.read()
      const news = !this.#shown || !this.view.same(this.#shown.value, value)
      this.#shown = { value }
      if (news) for (const watcher of [...this.watchers]) watcher.show(value)
    } catch (error) {
      const watchers = [...this.watchers]
      this.#failed(this)
      for (const watcher of watchers) watcher.fail(error)
      return
    } finally {
      this.#reading = false
    }
    if (this.watchers.size === 0) return
    if (this.#changed) this.touch()
    else if (this.view.refreshMs !== undefined) this.#readIn(this.view.refreshMs, false)
  }
}

/** Queues by namespace in which something happened; undefined: anywhere. */
type Touched = Map<string, Set<string>> | undefined

/**
 * Shows lists and counts as they change. A view is read when somebody comes, and again after commits that may concern it:
 * once for all who look at it, and at most once in a while, so that it costs the same however much happens.
 */
export class LiveViews {
  readonly #clock: Clock
  readonly #views = new Map<string, OpenView<never>>()
  readonly #touched = new Map<TenantId, Touched>()
  #stopGathering: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Shows a view until what is returned is called. */
  watch<T>(view: LiveView<T>, watcher: ViewWatcher<T>): () => void {
    const key = JSON.stringify([view.tenant, view.namespace, view.key])
    const known = this.#views.get(key) as OpenView<T> | undefined
    const open = known ?? new OpenView(view, this.#clock, (failed) => this.#close(key, failed))
    if (!known) this.#views.set(key, open as unknown as OpenView<never>)
    open.join(watcher)
    return () => {
      if (open.watchers.delete(watcher) && open.watchers.size === 0) this.#close(key, open)
    }
  }

  /** Jobs of a queue came or changed. */
  touched({ tenant, namespace }: Scope, queue: string): void {
    if (this.#views.size === 0) return
    let queues = this.#touched.get(tenant)
    if (!queues) {
      if (this.#touched.has(tenant)) return
      queues = new Map()
      this.#touched.set(tenant, queues)
    }
    const known = queues.get(namespace)
    if (known) known.add(queue)
    else queues.set(namespace, new Set([queue]))
    this.#gather()
  }

  /** Jobs changed: of which queues is not said. */
  changed(changes: readonly JobChange[]): void {
    if (this.#views.size === 0) return
    for (const { tenant } of changes) this.#touched.set(tenant, undefined)
    this.#gather()
  }

  /** Anything may have changed. */
  touchAll(): void {
    for (const open of this.#views.values()) open.touch()
  }

  close(): void {
    this.#stopGathering?.()
    for (const open of this.#views.values()) open.close()
    this.#views.clear()
  }

  /** Tells the views a moment later, of all that happened until then. */
  #gather(): void {
    this.#stopGathering ??= this.#clock.timer(gatherMs, () => {
      this.#stopGathering = undefined
      for (const open of this.#views.values()) {
        const { tenant } = open.view
        if (this.#touched.has(tenant) && concerns(open.view, this.#touched.get(tenant))) open.touch()
      }
      this.#touched.clear()
    })
  }

  #close<T>(key: string, open: OpenView<T>): void {
    open.close()
    if ((this.#views.get(key) as unknown) === open) this.#views.delete(key)
  }
}

function concerns<T>({ namespace, queue }: LiveView<T>, touched: Touched): boolean {
  if (!touched || namespace === undefined) return true
  const queues = touched.get(namespace)
  return queues !== undefined && (queue === undefined || queues.has(queue))
}
