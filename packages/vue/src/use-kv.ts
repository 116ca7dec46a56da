import type { Kv } from '@millrace/core'
import { observeKey } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** A key of a KV store as it stands, with what can be done with it. */
export interface UseKV<T> extends LiveData {
  /** Its value; undefined when it is not there, and before that is known (`isLoading`). */
  readonly value: ComputedRef<T | undefined>
  /** The revision of its value, for `ifRevision`; 0 when it is not there. */
  readonly revision: ComputedRef<number>
  /** When it will be gone; undefined: never. */
  readonly expiresAt: ComputedRef<Date | undefined>
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
export function useKV<T = unknown>(store: MaybeRefOrGetter<string>, key: MaybeRefOrGetter<string>): UseKV<T> {
  const client = useMillrace()
  const { snapshot, ...live } = useObserver(() => observeKey<T>(client, toValue(store), toValue(key)))
  return {
    ...live,
    value: computed(() => snapshot.value.data?.value),
    revision: computed(() => snapshot.value.data?.revision ?? 0),
    expiresAt: computed(() => snapshot.value.data?.expiresAt),
    error: computed(() => snapshot.value.error),
    set: (value, options) => client.kv<T>(toValue(store)).set(toValue(key), value, options),
    remove: (options) => client.kv<T>(toValue(store)).delete(toValue(key), options),
  }
}
