import type { MillraceError } from '@millrace/core'
import type { LiveSnapshot, LiveState, Observer } from '@millrace/core/live'
import { useMemo, useSyncExternalStore } from 'react'

/** What every hook that looks at something says beside its data. */
export interface Live {
  /** True before the first value or error. */
  readonly isLoading: boolean
  /** How the connection stands. */
  readonly state: LiveState
  /** Looks again after an error, or at a task that ended and was run again. */
  readonly retry: () => void
}

/** What a hook that looks at something says when it may fail for one kind of reason. */
export interface LiveData extends Live {
  /** Why the connection broke (`state` is `reconnecting`) or was given up (`error`). */
  readonly error: MillraceError | undefined
}

const idle: LiveSnapshot<never> = { state: 'idle', data: undefined, error: undefined }
const nothing: Observer<never> = {
  subscribe: () => () => undefined,
  getSnapshot: () => idle,
  first: () => undefined,
  retry: () => undefined,
}

/**
 * What an observer sees. On the server, and while its page is hydrated, nothing.
 *
 * @param shape - what the hook says of a value and an error; always the same function.
 */
export function useObserver<T, D extends object>(
  observer: Observer<T> | undefined,
  shape: (data: T | undefined, error: MillraceError | undefined) => D,
): D & Live {
  const { subscribe, getSnapshot, retry } = observer ?? nothing
  const snapshot: LiveSnapshot<T> = useSyncExternalStore(subscribe, getSnapshot, () => idle)
  const waits = observer !== undefined
  return useMemo(() => {
    const { state, data, error } = snapshot
    return { ...shape(data, error), isLoading: waits && data === undefined && state !== 'error', state, retry }
  }, [snapshot, retry, waits, shape])
}

/** Retries by the errors that were thrown to error boundaries. */
const retries = new WeakMap<object, () => void>()

/**
 * Looks again at what a hook of Suspense threw to an error boundary. Call it before the boundary renders its children again.
 *
 * @param error - what the boundary caught; anything else is left alone.
 */
export function retryAfter(error: unknown): void {
  if (typeof error === 'object' && error !== null) retries.get(error)?.()
}

/**
 * Suspends until an observer has seen something.
 *
 * @throws what the nearest `<Suspense>` waits for, or the error for the nearest error boundary. On the server, an error that
 * leaves the place to its fallback, and the rest to the browser.
 */
export function suspend<T>(observer: Observer<T>): void {
  if (typeof window === 'undefined') throw new Error('This part is rendered in the browser: live data is not looked at on the server.')
  const first = observer.first()
  // What a component throws to <Suspense> is a promise.
  if (first !== undefined) throw first
  const { data, error } = observer.getSnapshot()
  if (data !== undefined || !error) return
  retries.set(error, observer.retry)
  throw error
}
