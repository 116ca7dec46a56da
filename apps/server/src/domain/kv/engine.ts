import type { Clock } from '../../clock.ts'
import type {
  KvChange,
  KvChanges,
  KvEntry,
  KvOutcome,
  KvPage,
  KvSettings,
  KvStorage,
  KvWrite,
  KvWriteRequest,
  Revision,
} from '../../store/kv-port.ts'
import type { Scope } from '../../store/ports.ts'
import { Alarm } from '../alarm.ts'
import { Topics } from '../topics.ts'

/** How long deletions are told of to watchers who were away. */
export const deletionsKeptMs = 24 * 3_600_000
/** How often forgotten deletions are looked for. */
const sweepEveryMs = 60_000
/** Keys changed in one transaction: a long one would hold up everybody's commit. */
const chunk = 500

/** Keys and values as the services use them. What is not said here is said at {@link KvStorage}. */
export interface KvEngine {
  write(request: Omit<KvWriteRequest, 'now'>): Promise<readonly KvOutcome[]>
  read(scope: Scope, store: string, keys: readonly string[], values: boolean): Promise<readonly (KvEntry | undefined)[]>
  list(
    scope: Scope,
    store: string,
    page: { readonly prefix: string; readonly after?: string; readonly limit: number; readonly values: boolean },
  ): Promise<KvPage>
  /** Deletes the keys that begin with `prefix`; returns how many. Each transaction is a short one. */
  clear(scope: Scope, store: string, prefix: string): Promise<number>
  history(scope: Scope, store: string, key: string): Promise<readonly KvChange[]>
  changes(
    scope: Scope,
    store: string,
    from: { readonly prefix: string; readonly after: Revision; readonly limit: number },
  ): Promise<KvChanges>
  /** Keys were written otherwise: sees to the ends of their times. */
  written(writes: readonly KvWrite[]): void
  /** Calls `wake` when keys of a store changed; returns how to stop. */
  follow(scope: Scope, store: string, wake: () => void): () => void
  settings(scope: Scope, store: string): Promise<KvSettings>
  update(scope: Scope, store: string, change: { readonly history?: number }): Promise<KvSettings>
  stores(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly KvSettings[]>
  /** Ends the timers; resolves when what is under way has ended. */
  close(): Promise<void>
}

/** Makes the engine and starts its timers. */
export function createKvEngine({
  kv,
  clock,
  answersKeptMs,
  onError,
}: {
  readonly kv: KvStorage
  readonly clock: Clock
  /** How long a repeated request is answered as the first was. */
  readonly answersKeptMs: number
  readonly onError: (error: unknown) => void
}): KvEngine {
  const topics = new Topics()
  kv.listen({
    changed: (store) => topics.wake(store, store.store),
    missed: () => topics.wakeAll(),
  })

  const expiry = new Alarm({
    clock,
    onError,
    async run(closing) {
      while (!closing.aborted && (await kv.expire(clock.now(), chunk)) === chunk);
      return closing.aborted ? undefined : kv.nextExpiry()
    },
  })
  const sweeping = new Alarm({
    clock,
    onError,
    async run(closing) {
      const forget = () => kv.sweep({ deletions: clock.now() - deletionsKeptMs, answers: clock.now() - answersKeptMs }, chunk)
      while (!closing.aborted && (await forget()) === chunk);
      return clock.now() + sweepEveryMs
    },
  })
  expiry.dueAt(clock.now())
  sweeping.dueAt(clock.now() + sweepEveryMs)

  function written(writes: readonly KvWrite[]): void {
    let first = Infinity
    for (const write of writes) if (write.type !== 'delete') first = Math.min(first, write.expiresAt ?? Infinity)
    if (first < Infinity) expiry.dueAt(first)
  }

  return {
    async write(request) {
      const outcomes = await kv.write({ ...request, now: clock.now() })
      written(request.writes)
      return outcomes
    },
    written,
    read: (scope, store, keys, values) => kv.read(scope, store, keys, { values, now: clock.now() }),
    list: (scope, store, page) => kv.list(scope, store, { ...page, now: clock.now() }),
    async clear(scope, store, prefix) {
      let deleted = 0
      for (let after: string | undefined; ; ) {
        const now = clock.now()
        const { items, next } = await kv.list(scope, store, { prefix, after, limit: chunk, values: false, now })
        const writes = items.map(({ key }) => ({ type: 'delete' as const, key }))
        if (writes.length > 0) {
          const outcomes = await kv.write({ scope, store, writes, requestId: '', partial: true, now })
          deleted += outcomes.filter((outcome) => 'deleted' in outcome && outcome.deleted).length
        }
        if (next === undefined) return deleted
        after = next
      }
    },
    history: (scope, store, key) => kv.history(scope, store, key),
    changes: (scope, store, from) => kv.changes(scope, store, { ...from, now: clock.now() }),
    follow: (scope, store, wake) => topics.follow(scope, store, wake),
    settings: (scope, store) => kv.settings(scope, store),
    update: (scope, store, change) => kv.update(scope, store, change, clock.now()),
    stores: (scope, page) => kv.stores(scope, page),
    async close() {
      await Promise.all([expiry.close(), sweeping.close()])
    },
  }
}
