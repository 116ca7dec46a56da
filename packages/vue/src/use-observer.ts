import type { MillraceError } from '@millrace/core'
import type { LiveSnapshot, LiveState, Observer } from '@millrace/core/live'
import { type ComputedRef, computed, type ShallowRef, shallowRef, watch } from 'vue'
import { whileShown } from './while-shown.ts'

/** What every composable that looks at something gives beside its data. */
export interface Live {
  /** True before the first value or error. */
  readonly isLoading: ComputedRef<boolean>
  /** How the connection stands. */
  readonly state: ComputedRef<LiveState>
  /** Looks again after an error, or at a task that ended and was run again. */
  readonly retry: () => void
  /** Resolves when there is a value or an error; at once on the server. Await it in an `async setup` under `<Suspense>`. */
  readonly ready: () => Promise<void>
}

/** What a composable that looks at something gives when it may fail for one kind of reason. */
export interface LiveData extends Live {
  /** Why the connection broke (`state` is `reconnecting`) or was given up (`error`). */
  readonly error: ComputedRef<MillraceError | undefined>
}

const idle: LiveSnapshot<never> = { state: 'idle', data: undefined, error: undefined }

/**
 * Shows what an observer sees, while the component is shown.
 *
 * @param source - the observer; another one when what it reads changes.
 */
export function useObserver<T>(source: () => Observer<T> | undefined): Live & { readonly snapshot: ShallowRef<LiveSnapshot<T>> } {
  const observer = computed(source)
  const snapshot: ShallowRef<LiveSnapshot<T>> = shallowRef(observer.value?.getSnapshot() ?? idle)
  const restart = whileShown(() => {
    const current = observer.value
    const show = () => {
      snapshot.value = current?.getSnapshot() ?? idle
    }
    const stop = current?.subscribe(show)
    show()
    return () => stop?.()
  })
  watch(observer, restart, { flush: 'sync' })
  return {
    snapshot,
    isLoading: computed(() => observer.value !== undefined && snapshot.value.data === undefined && snapshot.value.state !== 'error'),
    state: computed(() => snapshot.value.state),
    retry: () => observer.value?.retry(),
    async ready() {
      const current = observer.value
      if (!current || typeof window === 'undefined') return
      await current.first()
      snapshot.value = current.getSnapshot()
    },
  }
}
