import {
  type CommitResult,
  StartPosition,
  type StreamServiceDefinition,
  type SubscribeMessagesResponse,
  type WriteResult,
} from '@millrace/protocol'
import type { SchemaRegistry } from '../domain/schemas/registry.ts'
import type { Start, StreamEngine } from '../domain/streams/engine.ts'
import type { Filter } from '../domain/streams/filter.ts'
import type { Replays } from '../domain/streams/replays.ts'
import type { StreamBatch, StreamCommit, StreamWriteOutcome } from '../store/stream-port.ts'
import type { Call, ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { subscribeGroup } from './group-subscription.ts'
import { limits } from './limits.ts'
import { answersOf } from './repeats.ts'
import { createReplayCalls } from './replay-calls.ts'
import { toItemError } from './shapes.ts'
import { checkCommit, checkPartition, readMessages, readProducer, readStart, sameStream } from './stream-checks.ts'
import { chunkBytes, emptyReads, toMessages, toResult, toStream } from './stream-shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Bytes of one read's answer. */
const readBytes = 2 * 1024 * 1024

/** What the service of streams stands on. */
export interface StreamServiceContext {
  readonly streams: StreamEngine
  readonly schemas: SchemaRegistry
  readonly replays: Replays
  /** Largest payload, in bytes. */
  readonly payloadLimit: number
}

/** Event streams. */
export function createStreamService({
  streams,
  schemas,
  replays,
  payloadLimit,
}: StreamServiceContext): ServiceOf<typeof StreamServiceDefinition> {
  return {
    ...createReplayCalls(streams, replays, readFilter),

    async writeMessages({ stream, messages, requestId, ...request }, { scope }) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.text('requestId', requestId, limits.requestId)
      checks.count('messages', messages.length, 1, limits.batch)
      const producer = readProducer(checks, request.producer)
      const batch = readMessages(checks, 'messages', messages, payloadLimit, await schemas.guard(scope, 'stream', stream))
      checks.done()
      const written = await streams.write({ scope, stream, batches: [{ messages: batch, producer }], requestId })
      const [outcome] = answersOf(written, 1, requestId)
      const { partitions, offsets, repeatOf } = wellOf(outcome!)
      return { partitions: [...partitions], offsets: [...offsets], duplicate: repeatOf !== undefined }
    },

    async writeBatches({ stream, batches, requestId }, { scope }) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.text('requestId', requestId, limits.requestId)
      checks.count('batches', batches.length, 1, limits.batch)
      checks.integer(
        'batches',
        batches.reduce((sum, { messages }) => sum + messages.length, 0),
        1,
        limits.batchedMessages,
      )
      checks.done()
      const refused = new Map<number, WriteResult>()
      const good: StreamBatch[] = []
      const guard = await schemas.guard(scope, 'stream', stream)
      for (const [i, { messages, ...batch }] of batches.entries()) {
        checks.at('batches', i)
        checks.count('messages', messages.length, 1, limits.batch)
        const producer = readProducer(checks, batch.producer)
        const checked = readMessages(checks, `batches[${i}].messages`, messages, payloadLimit, guard)
        const error = checks.takeItemError()
        if (error) refused.set(i, { partitions: [], offsets: [], error, duplicate: false })
        else good.push({ messages: checked, producer })
      }
      const written = good.length > 0 ? await streams.write({ scope, stream, batches: good, requestId }) : []
      const outcomes = answersOf(written, good.length, requestId)
      let next = 0
      return { results: batches.map((_, i) => refused.get(i) ?? toResult(outcomes[next++]!)) }
    },

    async readMessages(request, call) {
      const { scope } = call
      const checks = new Checks()
      checks.name('stream', request.stream)
      checkPartition(checks, 'partition', request.partition)
      const start = readStart(checks, request)
      checks.integer('maxMessages', request.maxMessages, 0, limits.batch)
      checks.done()
      const filter = await readFilter(request.filter)
      const offset = await streams.resolve(scope, request.stream, request.partition, start)
      const maxMessages = request.maxMessages || limits.page.default
      const { slices, next, latest } = await streams.read(scope, request.stream, request.partition, {
        offset,
        maxMessages,
        maxBytes: readBytes,
      })
      return { messages: await toMessages(slices, request.partition, filter, call), nextOffset: next, latestOffset: latest }
    },

    async *subscribeMessages(request, call) {
      const checks = new Checks()
      checks.name('stream', request.stream)
      checkPartition(checks, 'partition', request.partition)
      const start = readStart(checks, request)
      checks.done()
      yield* subscribe(streams, request, start, await readFilter(request.filter), call)
    },

    async *subscribeGroup({ stream, group, start, filter }, call) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.name('group', group)
      if (start < StartPosition.UNSPECIFIED || start > StartPosition.COMMITTED) {
        checks.fail('start', 'is not one of earliest, latest and committed: what the group has committed comes first')
      }
      checks.done()
      const otherwise = start === StartPosition.LATEST ? 'latest' : 'earliest'
      yield* subscribeGroup(streams, { stream, group, otherwise, filter: await readFilter(filter) }, call)
    },

    async commitOffsets({ stream, commits }, { scope }) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.count('commits', commits.length, 1, limits.batch)
      checks.done()
      const refused = new Map<number, CommitResult>()
      const good: StreamCommit[] = []
      for (const [i, commit] of commits.entries()) {
        checks.at('commits', i)
        checkCommit(checks, commit)
        const error = checks.takeItemError()
        if (error) refused.set(i, { committedOffset: -1, error })
        else good.push(commit)
      }
      const outcomes = good.length > 0 ? await streams.commit(scope, stream, good) : []
      let next = 0
      const resultOf = (i: number): CommitResult => {
        const outcome = refused.get(i) ?? outcomes[next++]!
        if ('committedOffset' in outcome) return outcome
        if ('error' in outcome) return { committedOffset: -1, error: toItemError(outcome.error) }
        return { committedOffset: outcome.committed, error: undefined }
      }
      return { results: commits.map((_, i) => resultOf(i)) }
    },

    async getGroup({ stream, group }, { scope }) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.name('group', group)
      checks.done()
      const committed = await streams.committed(scope, stream, group)
      const { partitions } = await streams.describe(scope, stream)
      return {
        offsets: partitions.map(({ earliest, latest }, partition) => {
          const committedOffset = committed[partition] ?? -1
          const lag = latest - Math.max(committedOffset, earliest - 1)
          return { partition, committedOffset, latestOffset: latest, lag }
        }),
      }
    },

    async putStream({ stream, partitions, retention, compaction }, { scope }) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.integer('partitions', partitions, 0, limits.partitions)
      if (retention) {
        checks.integer('retention.maxAgeMs', retention.maxAgeMs, 0, limits.ttl)
        checks.integer('retention.maxBytes', retention.maxBytes, 0, Number.MAX_SAFE_INTEGER)
      }
      checks.done()
      return { stream: toStream(await streams.put(scope, stream, { partitions: partitions || undefined, retention, compaction })) }
    },

    async getStream({ stream }, { scope }) {
      checkStream(stream)
      return { stream: toStream(await streams.describe(scope, stream)) }
    },

    async listStreams({ cursor, ...request }, { scope }) {
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      checks.nameOr('cursor', cursor, '')
      checks.done()
      const found = await streams.list(scope, { limit, after: cursor })
      return { streams: found.map(toStream), nextCursor: found.length < limit ? '' : found.at(-1)!.name }
    },

    async deleteStream({ stream }, { scope }) {
      checkStream(stream)
      await streams.delete(scope, stream)
      return {}
    },
  }
}

/** Streams messages for as long as the call lasts. Nothing waits in memory: what is not read stays in the store. */
async function* subscribe(
  streams: StreamEngine,
  { stream, partition }: { readonly stream: string; readonly partition: number },
  start: Start,
  filter: Filter | undefined,
  call: Call,
): AsyncGenerator<SubscribeMessagesResponse> {
  const { scope, signal } = call
  const wakeup = new Wakeup()
  const stop = streams.follow(scope, stream, () => wakeup.wake())
  try {
    let position = await streams.resolve(scope, stream, partition, start)
    let known: number | undefined
    // Where it begins, so that a reader whose connection breaks before the first message knows it.
    yield { messages: [], nextOffset: position }
    const take = async (): Promise<SubscribeMessagesResponse | undefined> => {
      for (let reads = 1; ; reads++) {
        const from = { offset: position, maxMessages: limits.batch, maxBytes: chunkBytes }
        const { number, slices, next } = await streams.read(scope, stream, partition, from)
        known = sameStream(stream, known, number)
        if (slices.length === 0) return undefined
        position = next
        const messages = await toMessages(slices, partition, filter, call)
        if (messages.length > 0 || reads === emptyReads) return { messages, nextOffset: next }
      }
    }
    yield* pump(take, wakeup, signal)
  } finally {
    stop()
  }
}

function checkStream(stream: string): void {
  const checks = new Checks()
  checks.name('stream', stream)
  checks.done()
}

function wellOf(outcome: StreamWriteOutcome) {
  if ('error' in outcome) throw outcome.error
  return outcome
}

/** The filter of an expression; what compiles them takes its memory when the first one comes. */
async function readFilter(text: string): Promise<Filter | undefined> {
  if (text === '') return undefined
  const { compileFilter } = await import('../domain/streams/filter.ts')
  return compileFilter(text)
}
