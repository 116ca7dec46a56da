import type { AnyRow, MillraceError, Select } from '@millrace/core'
import { identityOf, type LiveTableOptions, observeRows, selectOf } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, suspend, useObserver } from './use-observer.ts'

/** Rows of a table as they stand. */
export interface UseRows<T> extends LiveData {
  /** The rows; empty before the first value. */
  readonly rows: readonly T[]
}

/**
 * Shows the rows of a selection live, at most 1,000, whoever changes them.
 *
 * @typeParam T - what a row is.
 * @param select - such as `mr.table('users').select().where({ age: { gt: 25 } })`; may be another object that asks for the same
 * each time. Nothing is shown while it is undefined or null.
 */
export function useQuery<T>(select: Select<T> | undefined | null): UseRows<T> {
  return useObserver(useRowsObserver(select), shape<T>)
}

/** As {@link useQuery}, but suspends until the rows are known, and throws to the nearest error boundary when they cannot be. */
export function useSuspenseQuery<T>(select: Select<T>): UseRows<T> {
  const observer = useRowsObserver(select)!
  suspend(observer)
  return useObserver(observer, shape<T>)
}

/**
 * Shows rows of a table or view live, at most 1,000, whoever changes them.
 *
 * @typeParam T - what a row is.
 * @param table - its name; nothing is shown while it is undefined or null.
 * @param options - which rows; may be another object with the same content each time.
 */
export function useTable<T extends object = AnyRow>(table: string | undefined | null, options: LiveTableOptions<T> = {}): UseRows<T> {
  const client = useMillrace()
  return useQuery(table ? selectOf<T>(client, table, options) : undefined)
}

/** As {@link useTable}, but suspends until the rows are known, and throws to the nearest error boundary when they cannot be. */
export function useSuspenseTable<T extends object = AnyRow>(table: string, options: LiveTableOptions<T> = {}): UseRows<T> {
  return useSuspenseQuery(selectOf<T>(useMillrace(), table, options))
}

const nobody = [undefined, undefined] as const

function useRowsObserver<T>(select: Select<T> | undefined | null) {
  const [client, content] = select ? identityOf(select) : nobody
  // biome-ignore lint/correctness/useExhaustiveDependencies: selections with the same client and content are the same.
  return useMemo(() => (select ? observeRows(select) : undefined), [client, content])
}

const noRows: readonly never[] = []

function shape<T>(rows: readonly T[] | undefined, error: MillraceError | undefined) {
  return { rows: rows ?? noRows, error }
}
