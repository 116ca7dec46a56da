import type { KvOutcome, KvWrite } from '../kv-port.ts'
import type { Scope } from '../ports.ts'
import type { Harness } from './harness.ts'

export const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString())

/** Short ways to say what cases of keys and values say often. */
export class KvSteps {
  readonly #t: Harness

  constructor(t: Harness) {
    this.#t = t
  }

  /** A write that sets a key. */
  setting(key: string, value: string, options: { ttl?: number; ifRevision?: number; ifAbsent?: boolean } = {}): KvWrite {
    const { ttl, ifRevision, ifAbsent = false } = options
    const expiresAt = ttl === undefined ? undefined : this.#t.clock.now() + ttl
    return { type: 'set', key, value: Buffer.from(value), contentType: '', expiresAt, ifRevision, ifAbsent }
  }

  write(
    writes: readonly KvWrite[],
    options: { store?: string; scope?: Scope; partial?: boolean; requestId?: string } = {},
  ): Promise<readonly KvOutcome[]> {
    const { store = 's', scope = this.#t.scope, partial = false, requestId = '' } = options
    return this.#t.store.kv.write({ scope, store, writes, requestId, partial, now: this.#t.clock.now() })
  }

  /** Sets a key; returns its revision. */
  async set(key: string, value: string, options: { ttl?: number; ifRevision?: number; ifAbsent?: boolean } = {}): Promise<number> {
    const [outcome] = await this.write([this.setting(key, value, options)])
    return revisionOf(outcome!)
  }

  async delete(key: string, ifRevision?: number): Promise<KvOutcome> {
    return (await this.write([{ type: 'delete', key, ifRevision }]))[0]!
  }

  async increment(key: string, by: number, ttl?: number): Promise<KvOutcome> {
    const expiresAt = ttl === undefined ? undefined : this.#t.clock.now() + ttl
    return (await this.write([{ type: 'increment', key, by, expiresAt }]))[0]!
  }

  /** The values of keys, as text. */
  async get(...keys: string[]): Promise<(string | undefined)[]> {
    const found = await this.#t.store.kv.read(this.#t.scope, 's', keys, { values: true, now: this.#t.clock.now() })
    return found.map((entry) => text(entry?.value))
  }

  /** All keys with a prefix, by pages of two. */
  async keys(prefix = '', scope = this.#t.scope): Promise<string[]> {
    const keys: string[] = []
    let after: string | undefined
    do {
      const page = await this.#t.store.kv.list(scope, 's', { prefix, after, limit: 2, values: false, now: this.#t.clock.now() })
      keys.push(...page.items.map(({ key }) => key))
      after = page.next
    } while (after !== undefined)
    return keys
  }

  /** Changes after a revision, as `type key=value`. */
  async changes(after: number, prefix = '', limit = 100): Promise<string[]> {
    const told: string[] = []
    for (let from = after; ; ) {
      const { changes, upTo, more } = await this.#t.store.kv.changes(this.#t.scope, 's', {
        prefix,
        after: from,
        limit,
        now: this.#t.clock.now(),
      })
      told.push(...changes.map(({ type, entry }) => `${type} ${entry.key}=${text(entry.value) ?? ''}`))
      if (!more) return told
      from = upTo
    }
  }
}

function revisionOf(outcome: KvOutcome): number {
  if ('error' in outcome) throw outcome.error
  return outcome.revision
}
