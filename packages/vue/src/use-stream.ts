import type { Stream, StreamMessage } from '@millrace/core'
import { type LiveStreamOptions, observeStream } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** The end of an event stream as it stands, with what writes to it. */
export interface UseStream<T> extends LiveData {
  /** The last messages since the component was mounted, oldest first; at most `limit`. */
  readonly messages: ComputedRef<readonly StreamMessage<T>[]>
  /** Writes messages; see `write` of a stream. Rejects as that does. */
  readonly write: (...args: Parameters<Stream<T>['write']>) => ReturnType<Stream<T>['write']>
}

const noMessages: readonly never[] = []

/**
 * Shows the last messages of a partition of an event stream live.
 *
 * @typeParam T - what their payloads are.
 */
export function useStream<T = unknown>(stream: MaybeRefOrGetter<string>, options: MaybeRefOrGetter<LiveStreamOptions> = {}): UseStream<T> {
  const client = useMillrace()
  const { snapshot, ...live } = useObserver(() => observeStream<T>(client, toValue(stream), { ...toValue(options) }))
  return {
    ...live,
    messages: computed(() => snapshot.value.data?.messages ?? noMessages),
    error: computed(() => snapshot.value.error),
    write: (...args) => client.stream<T>(toValue(stream)).write(...args),
  }
}
