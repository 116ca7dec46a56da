import { setImmediate } from 'node:timers/promises'
import type {
  Entry,
  EntryChange,
  EntryWriteResult,
  KvServiceDefinition,
  KvStore,
  ReadEntryResult,
  WatchEntriesRequest,
  WatchEntriesResponse,
} from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import type { KvEngine } from '../domain/kv/engine.ts'
import { type MillraceError, notFound } from '../errors.ts'
import { type KvChange, KvChangeType, type KvEntry, type KvOutcome, type KvSettings, type KvWrite } from '../store/kv-port.ts'
import type { Scope } from '../store/ports.ts'
import type { Call, ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { checkKey, checkKeyText, readIncrement, readRevision, readSet, readWrite } from './kv-checks.ts'
import { limits } from './limits.ts'
import { answersOf } from './repeats.ts'
import { toDate, toItemError } from './shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Rows looked at for one message of a watch. */
const watchChunk = 500
/** Keys of a prefix that are few: they are found by their names when a watch begins. */
const few = 100

/** What the service of keys and values stands on. */
export interface KvServiceContext {
  readonly kv: KvEngine
  readonly clock: Clock
  /** Largest value, in bytes. */
  readonly payloadLimit: number
}

/** Keys and values. */
export function createKvService({ kv, clock, payloadLimit }: KvServiceContext): ServiceOf<typeof KvServiceDefinition> {
  /** Carries out one write that must hold. Requests of several methods may have one name. */
  async function writeOne({ scope }: Call, store: string, write: KvWrite, requestId: string) {
    const named = requestId === '' ? '' : `${write.type} ${requestId}`
    const [outcome] = answersOf(await kv.write({ scope, store, writes: [write], requestId: named, partial: false }), 1, requestId)
    return outcome as Exclude<KvOutcome, { readonly error: MillraceError }>
  }

  return {
    async writeEntries({ store, writes, requestId, allowPartial }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checks.text('requestId', requestId, limits.requestId)
      checks.count('writes', writes.length, 1, limits.batch)
      checks.done()
      const now = clock.now()
      const refused = new Map<number, EntryWriteResult>()
      const good: KvWrite[] = []
      for (const [i, write] of writes.entries()) {
        checks.at('writes', i)
        const read = readWrite(checks, write, now, payloadLimit)
        const error = allowPartial ? checks.takeItemError() : undefined
        if (error) refused.set(i, { revision: 0, deleted: false, number: 0, error })
        else good.push(read)
      }
      checks.done()
      const written = good.length > 0 ? await kv.write({ scope, store, writes: good, requestId, partial: allowPartial }) : []
      const outcomes = answersOf(written, good.length, requestId)
      let next = 0
      return { results: writes.map((_, i) => refused.get(i) ?? toResult(outcomes[next++]!)) }
    },

    async readEntries({ store, keys, withoutValues }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checks.count('keys', keys.length, 1, limits.batch)
      checks.done()
      const refused = new Map<number, ReadEntryResult>()
      for (const [i, key] of keys.entries()) {
        checks.at('keys', i)
        checkKey(checks, '', key)
        const error = checks.takeItemError()
        if (error) refused.set(i, { entry: undefined, error })
      }
      const good = refused.size === 0 ? keys : keys.filter((_, i) => !refused.has(i))
      const found = good.length > 0 ? await kv.read(scope, store, good, !withoutValues) : []
      const results: ReadEntryResult[] = []
      for (let i = 0, next = 0; i < keys.length; i++) {
        const wrong = refused.get(i)
        // What comes after the last one read is asked for again.
        if (!wrong && next === found.length) break
        const entry = wrong ? undefined : found[next++]
        results.push(wrong ?? { entry: entry && toEntry(entry), error: undefined })
      }
      return { results }
    },

    async setEntry({ store, key, requestId, ...set }, call) {
      const checks = new Checks()
      checks.name('store', store)
      checks.text('requestId', requestId, limits.requestId)
      checkKey(checks, 'key', key)
      const write = readSet(checks, '', key, set, clock.now(), payloadLimit)
      checks.done()
      const { revision } = await writeOne(call, store, write, requestId)
      return { revision }
    },

    async getEntry({ store, key }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checkKey(checks, 'key', key)
      checks.done()
      const [entry] = await kv.read(scope, store, [key], true)
      if (!entry) throw notFound('key', key, `in '${store}'`)
      return { entry: toEntry(entry) }
    },

    async deleteEntry({ store, key, ifRevision, requestId }, call) {
      const checks = new Checks()
      checks.name('store', store)
      checks.text('requestId', requestId, limits.requestId)
      checkKey(checks, 'key', key)
      const write = { type: 'delete', key, ifRevision: readRevision(checks, 'ifRevision', ifRevision) } as const
      checks.done()
      const { deleted = false } = await writeOne(call, store, write, requestId)
      return { deleted }
    },

    async clearEntries({ store, prefix, confirm }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checkKeyText(checks, 'prefix', prefix)
      if (!confirm) checks.fail('confirm', 'must be true: the values are gone for good')
      checks.done()
      return { deleted: await kv.clear(scope, store, prefix) }
    },

    async incrementEntry({ store, key, by = 1, ttlMs, requestId }, call) {
      const checks = new Checks()
      checks.name('store', store)
      checks.text('requestId', requestId, limits.requestId)
      checkKey(checks, 'key', key)
      const write = readIncrement(checks, '', key, { by, ttlMs }, clock.now())
      checks.done()
      const { number = 0, revision } = await writeOne(call, store, write, requestId)
      return { number, revision }
    },

    async listEntries({ store, prefix, cursor, withValues, ...request }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checkKeyText(checks, 'prefix', prefix)
      const limit = checks.page('limit', request.limit)
      if (cursor !== '' && !cursor.startsWith(prefix)) checks.fail('cursor', 'is not of a list with this prefix')
      checkKeyText(checks, 'cursor', cursor)
      checks.done()
      const { items, next } = await kv.list(scope, store, { prefix, after: cursor === '' ? undefined : cursor, limit, values: withValues })
      return { entries: items.map(toEntry), nextCursor: next ?? '' }
    },

    async listEntryHistory({ store, key }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checkKey(checks, 'key', key)
      checks.done()
      return { versions: (await kv.history(scope, store, key)).map(toChange) }
    },

    async *watchEntries(request, call) {
      const checks = new Checks()
      checks.name('store', request.store)
      checkKeyText(checks, 'prefix', request.prefix)
      const after = readRevision(checks, 'afterRevision', request.afterRevision)
      checks.done()
      yield* watch(kv, request, after, call)
    },

    async getKvStore({ store }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      checks.done()
      return { store: toStore(await kv.settings(scope, store)) }
    },

    async updateKvStore({ store, history }, { scope }) {
      const checks = new Checks()
      checks.name('store', store)
      if (history !== undefined) checks.integer('history', history, 1, limits.history)
      checks.done()
      return { store: toStore(await kv.update(scope, store, { history })) }
    },

    async listKvStores({ cursor, ...request }, { scope }) {
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      checks.nameOr('cursor', cursor, '')
      checks.done()
      const stores = await kv.stores(scope, { limit, after: cursor })
      return { stores: stores.map(toStore), nextCursor: stores.length < limit ? '' : stores.at(-1)!.name }
    },
  }
}

/** Streams changes from a revision on, for as long as the call lasts. Nothing waits in memory: what is not read stays in the store. */
async function* watch(
  kv: KvEngine,
  { store, prefix }: WatchEntriesRequest,
  afterRevision: number | undefined,
  { scope, signal }: Call,
): AsyncGenerator<WatchEntriesResponse> {
  const wakeup = new Wakeup()
  const stop = kv.follow(scope, store, () => wakeup.wake())
  try {
    const { revision } = await kv.settings(scope, store)
    let position = afterRevision ?? revision
    if (position > revision) {
      // An older copy of the store was restored since: what it gets up to there is not what the watcher knows.
      position = 0
      yield { changes: [], revision: 0, reset: true, live: false }
    }
    let live = false
    // What was deleted until here was gone when the telling of everything began.
    let toldFrom = 0
    const take = async (): Promise<WatchEntriesResponse | undefined> => {
      for (;;) {
        if (position === 0) {
          toldFrom = (await kv.settings(scope, store)).revision
          const present = await presentOf(kv, scope, { store, prefix, until: toldFrom })
          if (present) position = toldFrom
          if (present && present.length > 0) return { changes: present.map(toChange), revision: position, reset: false, live }
        }
        const before = position
        const { changes, upTo, more, floor } = await kv.changes(scope, store, { prefix, after: position, limit: watchChunk })
        // Deletions since then are forgotten: everything that is there is told anew.
        const reset = position > 0 && position < floor && floor > toldFrom
        position = reset ? 0 : upTo
        const wasLive = live
        live ||= !more && !reset
        if (reset || changes.length > 0 || live !== wasLive)
          return { changes: reset ? [] : changes.map(toChange), revision: position, reset, live }
        if (!more || position === before) return undefined
        // Nothing of this prefix among many changes: others have their turn before the next ones are looked at.
        await setImmediate()
      }
    }
    yield* pump(take, wakeup, signal)
  } finally {
    stop()
  }
}

/**
 * The few keys of a prefix that are there, in the order of their revisions, up to one: whoever watches one key of a million does
 * not look through the others. Undefined when they are many, or all are asked for.
 */
async function presentOf(
  kv: KvEngine,
  scope: Scope,
  { store, prefix, until }: { readonly store: string; readonly prefix: string; readonly until: number },
): Promise<readonly KvChange[] | undefined> {
  if (prefix === '' || until === 0) return undefined
  const { items, next } = await kv.list(scope, store, { prefix, limit: few, values: true })
  if (next !== undefined) return undefined
  const told = items.filter(({ revision }) => revision <= until).sort((a, b) => a.revision - b.revision)
  return told.map((entry) => ({ type: KvChangeType.set, entry }))
}

function toResult(outcome: KvOutcome): EntryWriteResult {
  if ('error' in outcome) return { revision: 0, deleted: false, number: 0, error: toItemError(outcome.error) }
  const { revision, deleted = false, number = 0 } = outcome
  return { revision, deleted, number, error: undefined }
}

function toEntry({ key, value = noBytes, contentType, revision, expiresAt, updatedAt }: KvEntry): Entry {
  return { key, value, contentType, revision, expiresAt: toDate(expiresAt), updatedAt: new Date(updatedAt) }
}

function toChange({ type, entry }: KvChange): EntryChange {
  return { type, entry: toEntry(entry) }
}

function toStore({ name, history, revision, createdAt }: KvSettings): KvStore {
  return { name, history, revision, createdAt: toDate(createdAt) }
}

const noBytes = new Uint8Array()
