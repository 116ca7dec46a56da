import type { Message, Stream, WriteResult } from '@millrace/protocol'
import type { StreamInfo, StreamSlice, StreamWriteOutcome } from '../store/stream-port.ts'
import { toDate, toItemError } from './shapes.ts'

/** Bytes after which a message of a subscription is closed: large, as its own cost is that of dozens of messages. */
export const chunkBytes = 128 * 1024

export function toResult(outcome: StreamWriteOutcome): WriteResult {
  if ('error' in outcome) return { partitions: [], offsets: [], error: toItemError(outcome.error) }
  return { partitions: outcome.partitions as number[], offsets: outcome.offsets as number[], error: undefined }
}

export function toMessages({ firstOffset, timestamp, messages }: StreamSlice): Message[] {
  return messages.map(({ payload, contentType, headers, key }, i) => {
    return { offset: firstOffset + i, payload, contentType, headers, key, timestampMs: timestamp }
  })
}

export function toStream({ name, partitions, retention, createdAt }: StreamInfo): Stream {
  return {
    name,
    partitions: partitions.map(({ earliest, latest, bytes }, partition) => {
      return { partition, earliestOffset: earliest, latestOffset: latest, bytes }
    }),
    retention,
    createdAt: toDate(createdAt),
  }
}
