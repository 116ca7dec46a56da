import type * as wire from '@millrace/protocol'
import { toMs } from '../durations.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import type { SchemaVersion } from '../schemas.ts'
import { itemOverhead, missingField, toDate, toInt, toText, toTexts } from '../wire.ts'
import type {
  CreateStreamOptions,
  NewStreamMessage,
  ProducerWrite,
  ReceivedMessage,
  StartFrom,
  StreamInfo,
  StreamMessage,
} from './types.ts'

const positions = { earliest: 1, latest: 2, committed: 3 } as const
const atTime = 4

/** A batch as it is written. Complete by hand: this is the hot path. */
export function toBatch(messages: readonly NewStreamMessage[], producer?: ProducerWrite): wire.MessageBatch {
  if (!Array.isArray(messages)) throw invalid('messages', 'is not an array.')
  return {
    producer: producer && {
      id: toText('producer.id', producer.id),
      epoch: toWhole('producer.epoch', producer.epoch),
      seq: toWhole('producer.seq', producer.seq),
    },
    messages: messages.map((message: NewStreamMessage, i) => {
      if (!message) throw invalid(`messages[${i}]`, 'is missing.')
      const { payload, contentType } = encodePayload('payload', message.payload)
      return {
        payload,
        contentType,
        headers: toTexts('headers', message.headers),
        key: toText('key', message.key),
        partition: message.partition === undefined ? undefined : toInt('partition', message.partition),
      }
    }),
  }
}

/** A whole number that JavaScript holds exactly. */
export function toWhole(path: string, value = 0): number {
  if (!Number.isSafeInteger(value)) throw invalid(path, `${String(value)} is not a whole number in range.`)
  return value
}

/** About how large a batch is when it is encoded. */
export function bytesOf({ messages }: wire.MessageBatch): number {
  let bytes = 0
  for (const { payload, key } of messages) bytes += payload.length + key.length + itemOverhead
  return bytes
}

/** The fields of a request that say where reading begins. */
export function toStart(from: StartFrom, group: string | undefined) {
  const start = { offset: 0, start: 0 as wire.StartPosition, time: undefined as Date | undefined, group: toText('group', group) }
  if (typeof from === 'number') {
    if (!Number.isSafeInteger(from)) throw invalid('from', `${from} is not an offset.`)
    return { ...start, offset: from }
  }
  if (from instanceof Date) return { ...start, start: atTime as wire.StartPosition, time: toDate('from', from) }
  const position = positions[from]
  if (position === undefined) throw invalid('from', `'${String(from)}' is not 'latest', 'earliest', 'committed', an offset or a Date.`)
  if (from === 'committed' && !group) throw invalid('group', "is missing; 'committed' is the offset of a group.")
  return { ...start, start: position as wire.StartPosition }
}

export function fromMessage<T>(message: wire.Message, partition: number): StreamMessage<T> {
  return {
    offset: message.offset,
    partition,
    payload: decodePayload('payload', message.payload, message.contentType) as T,
    headers: message.headers,
    ...(message.key !== '' && { key: message.key }),
    timestamp: new Date(message.timestampMs),
    ...(message.schema && { schema: message.schema }),
  }
}

/** Where offsets are committed: for a member of a group, or '' for none of a balanced one. */
export interface CommitPlace {
  readonly stream: string
  readonly group: string
  readonly partition: number
  readonly member: string
}

/** Commits an offset. */
export type Commit = (place: CommitPlace, offset: number, call?: CallOptions) => Promise<number>

/** A message of a subscription. A class, so that a message costs no functions of its own; what may be absent is declared alone, and is absent then. */
export class Received<T> implements ReceivedMessage<T> {
  readonly offset: number
  readonly partition: number
  readonly payload: T
  readonly headers: Readonly<Record<string, string>>
  declare readonly key?: string
  readonly timestamp: Date
  declare readonly schema?: SchemaVersion
  readonly #commit: Commit
  /** Absent: the subscription has no group. */
  readonly #place: CommitPlace | undefined

  constructor(message: wire.Message, partition: number, commit: Commit, place: CommitPlace | undefined) {
    this.offset = message.offset
    this.partition = partition
    this.payload = decodePayload('payload', message.payload, message.contentType) as T
    this.headers = message.headers
    if (message.key !== '') this.key = message.key
    this.timestamp = new Date(message.timestampMs)
    if (message.schema) this.schema = message.schema
    this.#commit = commit
    this.#place = place
  }

  async commit(call?: CallOptions): Promise<number> {
    if (!this.#place) throw invalid('group', 'is missing; a subscription commits for its group.')
    return this.#commit(this.#place, this.offset, call)
  }

  static placeOf(message: object): CommitPlace | undefined {
    return #place in message ? message.#place : undefined
  }
}

/** Where a message's offset is committed; undefined for what no subscription with a group gave. */
export function placeOf(message: object): CommitPlace | undefined {
  return Received.placeOf(message)
}

export function toSettings({ partitions, retention, compaction }: CreateStreamOptions) {
  if (typeof (compaction ?? true) !== 'boolean') throw invalid('compaction', 'is not true or false.')
  return {
    partitions: toInt('partitions', partitions),
    compaction,
    retention: retention && {
      maxAgeMs: toMs('retention.maxAge', retention.maxAge),
      maxBytes: toWhole('retention.maxBytes', retention.maxBytes),
    },
  }
}

export function fromStream(stream: wire.Stream | undefined): StreamInfo {
  if (!stream) throw new InternalError(missingField('the stream'))
  return {
    name: stream.name,
    partitions: stream.partitions.map(({ earliestOffset, latestOffset, bytes }) => ({ earliestOffset, latestOffset, bytes })),
    retention: { maxAge: stream.retention?.maxAgeMs ?? 0, maxBytes: stream.retention?.maxBytes ?? 0 },
    compaction: stream.compaction,
    createdAt: stream.createdAt ?? new Date(0),
  }
}
