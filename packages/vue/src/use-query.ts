import type { AnyRow, Select } from '@millrace/core'
import { identityOf, type LiveTableOptions, observeRows, selectOf } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** Rows of a table as they stand. */
export interface UseRows<T> extends LiveData {
  /** The rows; empty before the first value. */
  readonly rows: ComputedRef<readonly T[]>
}

const noRows: readonly never[] = []

/**
 * Shows the rows of a selection live, at most 1,000, whoever changes them.
 *
 * @typeParam T - what a row is.
 * @param select - such as `() => mr.table('users').select().where({ age: { gt: age.value } })`. Nothing is shown while it is undefined
 * or null.
 */
export function useQuery<T>(select: Select<T> | (() => Select<T> | undefined | null)): UseRows<T> {
  let known: { readonly of: readonly [client: object, content: string]; readonly observer: ReturnType<typeof observeRows<T>> } | undefined
  const { snapshot, ...live } = useObserver(() => {
    const current = typeof select === 'function' ? select() : select
    if (!current) return undefined
    // Another object that asks for the same is no other selection.
    const of = identityOf(current)
    if (known?.of[0] !== of[0] || known.of[1] !== of[1]) known = { of, observer: observeRows(current) }
    return known.observer
  })
  return { ...live, rows: computed(() => snapshot.value.data ?? noRows), error: computed(() => snapshot.value.error) }
}

/**
 * Shows rows of a table or view live, at most 1,000, whoever changes them.
 *
 * @typeParam T - what a row is.
 * @param table - its name; nothing is shown while it is undefined or null.
 * @param options - which rows. Of a reactive object, every part is followed.
 */
export function useTable<T extends object = AnyRow>(
  table: MaybeRefOrGetter<string | undefined | null>,
  options: MaybeRefOrGetter<LiveTableOptions<T>> = {},
): UseRows<T> {
  const client = useMillrace()
  return useQuery(() => {
    const name = toValue(table)
    return name ? selectOf<T>(client, name, toValue(options)) : undefined
  })
}
