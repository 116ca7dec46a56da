import type { ClientBase } from '../client-base.ts'
import { fromChange } from '../kv/convert.ts'
import type { KvChange } from '../kv/types.ts'
import { toText } from '../wire.ts'
import { createObserver } from './registry.ts'
import { streamSource } from './sources.ts'
import type { Observer } from './types.ts'

/** A key of a KV store as it stands. */
export interface LiveKey<T = unknown> {
  /** Its value; undefined when it is not there. */
  readonly value: T | undefined
  /** The revision of its value; 0 when it is not there. */
  readonly revision: number
  /** When it will be gone; absent: never. */
  readonly expiresAt?: Date
}

const absent: LiveKey<never> = { value: undefined, revision: 0 }

/**
 * A key of a KV store: its value now and after each change.
 *
 * @typeParam T - what its value is.
 */
export function observeKey<T = unknown>(client: ClientBase, store: string, key: string): Observer<LiveKey<T>> {
  const request = { store: toText('store', store), prefix: toText('key', key), afterRevision: 0 }
  return createObserver(client, `key ${JSON.stringify([store, key])}`, (context) => {
    let known: LiveKey<T> = absent
    return streamSource(context, 'KvService/WatchEntries', () => {
      // What is there is told first: when its end comes and the key did not, it is gone.
      let seen: LiveKey<T> = absent
      let live = false
      return {
        request,
        read(message) {
          for (const change of message.changes) if (change.entry?.key === key) seen = fromKeyChange(fromChange<T>(change))
          live ||= message.live
          if (!live) return undefined
          if (seen.revision !== known.revision) known = seen
          return known
        },
      }
    })
  })
}

function fromKeyChange<T>({ type, value, revision, expiresAt }: KvChange<T>): LiveKey<T> {
  return type === 'set' ? { value, revision, ...(expiresAt && { expiresAt }) } : absent
}
