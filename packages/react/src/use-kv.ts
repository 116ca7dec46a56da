import type { Kv, MillraceError } from '@millrace/core'
import { type LiveKey, observeKey } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, suspend, useObserver } from './use-observer.ts'

/** A key of a KV store as it stands, with what can be done with it. The functions are the same for the same key. */
export interface UseKV<T> extends LiveData {
  /** Its value; undefined when it is not there, and before that is known (`isLoading`). */
  readonly value: T | undefined
  /** The revision of its value, for `ifRevision`; 0 when it is not there. */
  readonly revision: number
  /** When it will be gone; undefined: never. */
  readonly expiresAt: Date | undefined
  /** Sets it; see `set` of a KV store. Rejects as that does. */
  readonly set: (value: T, options?: Parameters<Kv<T>['set']>[2]) => ReturnType<Kv<T>['set']>
  /** Deletes it; see `delete` of a KV store. Rejects as that does. */
  readonly remove: (options?: Parameters<Kv<T>['delete']>[1]) => ReturnType<Kv<T>['delete']>
}

/**
 * Shows a key of a KV store live.
 *
 * @typeParam T - what its value is.
 */
export function useKV<T = unknown>(store: string, key: string): UseKV<T> {
  const { observer, set, remove } = useKey<T>(store, key)
  const live = useObserver(observer, shape<T>)
  return useMemo(() => ({ ...live, set, remove }), [live, set, remove])
}

/** As {@link useKV}, but suspends until the key is known, and throws to the nearest error boundary when it cannot be. */
export function useSuspenseKV<T = unknown>(store: string, key: string): UseKV<T> {
  const { observer, set, remove } = useKey<T>(store, key)
  suspend(observer)
  const live = useObserver(observer, shape<T>)
  return useMemo(() => ({ ...live, set, remove }), [live, set, remove])
}

function useKey<T>(store: string, key: string) {
  const client = useMillrace()
  return useMemo(() => {
    const kv = client.kv<T>(store)
    return {
      observer: observeKey<T>(client, store, key),
      set: ((value, options) => kv.set(key, value, options)) satisfies UseKV<T>['set'],
      remove: ((options) => kv.delete(key, options)) satisfies UseKV<T>['remove'],
    }
  }, [client, store, key])
}

function shape<T>(data: LiveKey<T> | undefined, error: MillraceError | undefined) {
  return { value: data?.value, revision: data?.revision ?? 0, expiresAt: data?.expiresAt, error }
}
