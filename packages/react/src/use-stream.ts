import type { MillraceError, Stream, StreamMessage } from '@millrace/core'
import { type LiveMessages, type LiveStreamOptions, observeStream } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** The end of an event stream as it stands, with what writes to it. The function is the same for the same stream. */
export interface UseStream<T> extends LiveData {
  /** The last messages since the component was mounted, oldest first; at most `limit`. */
  readonly messages: readonly StreamMessage<T>[]
  /** Writes messages; see `write` of a stream. Rejects as that does. */
  readonly write: (...args: Parameters<Stream<T>['write']>) => ReturnType<Stream<T>['write']>
}

/**
 * Shows the last messages of a partition of an event stream live.
 *
 * @typeParam T - what their payloads are.
 * @param stream - its name.
 * @param options - may be another object with the same content each time.
 */
export function useStream<T = unknown>(stream: string, options: LiveStreamOptions = {}): UseStream<T> {
  const client = useMillrace()
  const { partition, from, limit } = options
  // A date is another object each time.
  const time = from instanceof Date ? from.getTime() : undefined
  const start = from instanceof Date ? undefined : from
  const observer = useMemo(
    () => observeStream<T>(client, stream, { partition, limit, from: time === undefined ? start : new Date(time) }),
    [client, stream, partition, limit, time, start],
  )
  const write = useMemo<UseStream<T>['write']>(
    () =>
      (...args) =>
        client.stream<T>(stream).write(...args),
    [client, stream],
  )
  const live = useObserver(observer, shape<T>)
  return useMemo(() => ({ ...live, write }), [live, write])
}

const noMessages: readonly never[] = []

function shape<T>(data: LiveMessages<T> | undefined, error: MillraceError | undefined) {
  return { messages: data?.messages ?? noMessages, error }
}
