import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import { errorFromItem } from '../errors/to-error.ts'
import { ResumedStream } from '../follow/resumed-stream.ts'
import { createRequestId } from '../ids.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import { itemOverhead, toInt, toText } from '../wire.ts'
import { createKvReader, createKvWriter } from './coalescers.ts'
import { fromChange, fromEntry, fromStore, toDelete, toIncrement, toSet, toWhole } from './convert.ts'
import type {
  ClearOptions,
  DeleteOptions,
  IncrementOptions,
  KvChange,
  KvEntry,
  KvSet,
  KvStoreInfo,
  ListKeysOptions,
  SetOptions,
  SetResult,
  UpdateKvStoreOptions,
  WatchKeysOptions,
} from './types.ts'

const noOptions = {}

/**
 * A store of keys and values. It exists from its first write on. Calls made at the same time travel together; writes of one
 * client are carried out in the order they were made.
 *
 * @typeParam T - what its values are.
 */
export class Kv<T = unknown> {
  readonly #context: ClientContext
  /** Its name. */
  readonly name: string

  /** @internal Use `mr.kv(name)`. */
  constructor(context: ClientContext, name: string) {
    this.#context = context
    this.name = toText('name', name)
  }

  /**
   * Sets a key.
   *
   * @param key - 1 to 512 bytes of UTF-8 without control characters.
   * @param value - any JSON value or a `Uint8Array`; it comes back as it went in.
   * @throws ConflictError when `ifRevision` or `ifAbsent` does not hold, ValidationError, and what any call may throw.
   */
  async set(key: string, value: T, options: SetOptions = noOptions, call?: CallOptions): Promise<SetResult> {
    const { revision } = await this.#write(toSet(key, value, options), call)
    return { revision }
  }

  /** The value of a key; undefined when it is not there. */
  async get(key: string, call?: CallOptions): Promise<T | undefined> {
    return (await this.entry(key, call))?.value
  }

  /** A key with its value and revision; undefined when it is not there. */
  async entry(key: string, call?: CallOptions): Promise<KvEntry<T> | undefined> {
    const { timeoutMs, signal } = this.#context.bounds(call)
    const text = toText('key', key)
    const entry = await this.#context.shared(createKvReader).add(this.name, text, text.length + itemOverhead, timeoutMs, signal)
    return entry && fromEntry<T>(entry)
  }

  /** True when the key is there. */
  async exists(key: string, call?: CallOptions): Promise<boolean> {
    const request = { store: this.name, keys: [toText('key', key)], withoutValues: true }
    const { results } = await this.#context.safe('KvService/ReadEntries', request, call)
    const [result] = results
    if (result?.error) throw errorFromItem(result.error)
    return result?.entry !== undefined
  }

  /** Deletes a key. Returns whether it was there. @throws ConflictError when `ifRevision` does not hold. */
  async delete(key: string, options: DeleteOptions = noOptions, call?: CallOptions): Promise<boolean> {
    return (await this.#write(toDelete(key, options), call)).deleted
  }

  /**
   * Adds to a number, atomically; a key that is not there counts as 0.
   *
   * @returns the sum.
   * @throws ConflictError when the value is not a whole number, or the sum would leave ±(2^53 - 1).
   */
  async increment(key: string, by = 1, options: IncrementOptions = noOptions, call?: CallOptions): Promise<number> {
    return (await this.#write(toIncrement(key, by, options), call)).number
  }

  /** The values of keys that are there, by key. At most 10,000. */
  async getMany(keys: readonly string[], call?: CallOptions): Promise<Map<string, T>> {
    const found = new Map<string, T>()
    if (!Array.isArray(keys)) throw invalid('keys', 'is not an array.')
    for (let rest: readonly string[] = keys.map((key, i) => toText(`keys[${i}]`, key)); rest.length > 0; ) {
      const request = { store: this.name, keys: rest as string[], withoutValues: false }
      const { results } = await this.#context.safe('KvService/ReadEntries', request, call)
      for (const { entry, error } of results) {
        if (error) throw errorFromItem(error)
        if (entry) found.set(entry.key, fromEntry<T>(entry).value)
      }
      rest = rest.slice(Math.max(results.length, 1))
    }
    return found
  }

  /**
   * Sets keys in one transaction: all or none.
   *
   * @param entries - at most 10,000.
   * @throws as `set`.
   */
  async setMany(entries: readonly KvSet<T>[], call?: CallOptions): Promise<SetResult[]> {
    if (!Array.isArray(entries)) throw invalid('entries', 'is not an array.')
    if (entries.length === 0) return []
    const writes = entries.map((entry: KvSet<T>) => toSet(entry.key, entry.value, entry))
    const request = { store: this.name, writes, requestId: createRequestId(this.#context.clock.now()), allowPartial: false }
    const { results } = await this.#context.safe('KvService/WriteEntries', request, call)
    return results.map(({ revision, error }) => {
      if (error) throw errorFromItem(error)
      return { revision }
    })
  }

  /**
   * Deletes all keys, or those that begin with a prefix, some hundred at a time: each is told of as deleted. Keys that are written
   * meanwhile may stay.
   *
   * @returns how many.
   * @throws ValidationError without `confirm: true`.
   */
  async clear({ prefix, confirm }: ClearOptions, call?: CallOptions): Promise<number> {
    const request = { store: this.name, prefix: toText('prefix', prefix), confirm: confirm === true }
    return (await this.#context.safe('KvService/ClearEntries', request, call)).deleted
  }

  /** Keys in the order of their bytes. */
  keys(options: ListKeysOptions & CallOptions = noOptions): List<string> {
    return this.#list(options, false, ({ key }) => key)
  }

  /** Keys with their values, in the order of the keys' bytes. */
  entries(options: ListKeysOptions & CallOptions = noOptions): List<KvEntry<T>> {
    return this.#list(options, true, fromEntry<T>)
  }

  /** The kept versions of a key, newest first. Set how many are kept with `update`. */
  async history(key: string, call?: CallOptions): Promise<KvChange<T>[]> {
    const request = { store: this.name, key: toText('key', key) }
    const { versions } = await this.#context.safe('KvService/ListEntryHistory', request, call)
    return versions.map(fromChange<T>)
  }

  /**
   * Changes as they happen, pushed by the server, in the order of their revisions; over breaks of the connection none is
   * missed. Each key is given as it is now: of changes that follow each other faster than they are read, the last.
   */
  watch(options: WatchKeysOptions = noOptions): AsyncIterableIterator<KvChange<T>, undefined> {
    const prefix = toText('prefix', options.prefix)
    let afterRevision = toWhole('after', options.after)
    return new ResumedStream(this.#context, {
      method: 'KvService/WatchEntries',
      signal: options.signal,
      request: () => ({ store: this.name, prefix, afterRevision }),
      take: ({ changes, revision, reset }: wire.WatchEntriesResponse) => {
        afterRevision = revision
        if (reset) options.onReset?.()
        return changes.map(fromChange<T>)
      },
    })
  }

  /** Reads its settings. */
  async info(call?: CallOptions): Promise<KvStoreInfo> {
    return fromStore((await this.#context.safe('KvService/GetKvStore', { store: this.name }, call)).store)
  }

  /** Changes its settings; what is left out stays. */
  async update(options: UpdateKvStoreOptions, call?: CallOptions): Promise<KvStoreInfo> {
    const request = { store: this.name, history: options.history === undefined ? undefined : toInt('history', options.history) }
    return fromStore((await this.#context.safe('KvService/UpdateKvStore', request, call)).store)
  }

  #write(write: wire.EntryWrite, call: CallOptions | undefined): Promise<wire.EntryWriteResult> {
    const { timeoutMs, signal } = this.#context.bounds(call)
    const bytes = write.action?.$case === 'set' ? write.action.value.value.length : 0
    return this.#context.shared(createKvWriter).add(this.name, write, bytes + write.key.length + itemOverhead, timeoutMs, signal)
  }

  #list<R>(options: ListKeysOptions & CallOptions, withValues: boolean, convert: (entry: wire.Entry) => R): List<R> {
    return createList(async (cursor) => {
      const request = {
        store: this.name,
        prefix: toText('prefix', options.prefix),
        limit: toInt('limit', options.limit),
        cursor,
        withValues,
      }
      const { entries, nextCursor } = await this.#context.safe('KvService/ListEntries', request, options)
      return { items: entries.map(convert), nextCursor }
    }, options.cursor)
  }
}
