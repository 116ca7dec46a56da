import { setImmediate } from 'node:timers/promises'
import type { Message, Stream, WriteResult } from '@millrace/protocol'
import { unmark } from '../domain/schemas/guard.ts'
import type { Filter } from '../domain/streams/filter.ts'
import type { StreamInfo, StreamSlice, StreamWriteOutcome } from '../store/stream-port.ts'
import type { Call } from './call.ts'
import { toDate, toItemError } from './shapes.ts'

/** Bytes after which a message of a subscription is closed: large, as its own cost is that of dozens of messages. */
export const chunkBytes = 128 * 1024
/** Reads in a row of which a filter may take nothing before the reader is told how far it is. */
export const emptyReads = 16

export function toResult(outcome: StreamWriteOutcome): WriteResult {
  if ('error' in outcome) return { partitions: [], offsets: [], error: toItemError(outcome.error), duplicate: false }
  const { partitions, offsets, repeatOf } = outcome
  return { partitions: partitions as number[], offsets: offsets as number[], error: undefined, duplicate: repeatOf !== undefined }
}

/** The longest that filters keep others waiting, in milliseconds. */
const filterMs = 10

/** The messages of slices that a filter takes; all when there is none. Rejects as the filter throws, and when the call ends. */
export async function toMessages(
  slices: readonly StreamSlice[],
  partition: number,
  filter: Filter | undefined,
  { signal }: Pick<Call, 'signal'>,
): Promise<Message[]> {
  const messages: Message[] = []
  let since = performance.now()
  for (const { firstOffset, timestamp, messages: found } of slices) {
    for (let i = 0; i < found.length; i++) {
      const message = found[i]!
      const offset = firstOffset + i
      if (filter) {
        if (performance.now() - since > filterMs) {
          await setImmediate()
          signal.throwIfAborted()
          since = performance.now()
        }
        if (!filter(message, { partition, offset, timestamp })) continue
      }
      const { payload, contentType, key } = message
      const { headers, schema } = unmark(message.headers)
      messages.push({ offset, payload, contentType, headers, key, timestampMs: timestamp, schema })
    }
  }
  return messages
}

export function toStream({ name, partitions, retention, compaction, createdAt }: StreamInfo): Stream {
  return {
    name,
    partitions: partitions.map(({ earliest, latest, bytes }, partition) => {
      return { partition, earliestOffset: earliest, latestOffset: latest, bytes }
    }),
    retention,
    compaction,
    createdAt: toDate(createdAt),
  }
}
