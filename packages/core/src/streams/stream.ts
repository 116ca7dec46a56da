import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { toInt, toText } from '../wire.ts'
import { commitOffset, createStreamWriter } from './coalescers.ts'
import { bytesOf, type Commit, fromMessage, fromStream, toBatch, toSettings, toStart, toWhole } from './convert.ts'
import { StreamReplays } from './replays.ts'
import { StreamGroup } from './stream-group.ts'
import { subscribePartition, subscribeShared } from './subscriptions.ts'
import type {
  CreateStreamOptions,
  NewStreamMessage,
  ReadOptions,
  ReceivedMessage,
  StreamInfo,
  StreamMessage,
  SubscribeOptions,
  WriteOptions,
} from './types.ts'

/**
 * An event stream. It exists from its first write on, with one partition, or from `create` on, with as many as you say. Writes
 * of one client are carried out in the order they were made.
 *
 * @typeParam T - what its payloads are.
 */
export class Stream<T = unknown> {
  readonly #context: ClientContext
  /** Its name. */
  readonly name: string
  /** Ranges of it that are delivered once more. */
  readonly replay: StreamReplays<T>

  /** @internal Use `mr.stream(name)`. */
  constructor(context: ClientContext, name: string) {
    this.#context = context
    this.name = toText('name', name)
    this.replay = new StreamReplays(context, this.name)
  }

  /**
   * Writes messages: all or none. Calls made at the same time travel together. A repeat after a broken connection never
   * writes twice.
   *
   * @param messages - at most 10,000.
   * @returns the offset of each message in its partition, in order.
   * @throws ValidationError; ConflictError for a producer that was replaced or leaves out a write; and what any call may throw.
   */
  async write(messages: readonly NewStreamMessage<T>[], options?: WriteOptions): Promise<number[]> {
    const { timeoutMs, signal } = this.#context.bounds(options)
    const batch = toBatch(messages, options?.producer)
    if (batch.messages.length === 0) return []
    if (options?.idempotencyKey !== undefined) {
      if (batch.producer) throw invalid('producer', 'stands beside idempotencyKey; give one of them.')
      // A name of its own makes it a request of its own.
      const request = { stream: this.name, ...batch, requestId: toText('idempotencyKey', options.idempotencyKey) }
      return (await this.#context.safe('StreamService/WriteMessages', request, options)).offsets
    }
    return this.#context.shared(createStreamWriter).add(this.name, batch, bytesOf(batch), timeoutMs, signal)
  }

  /** Reads messages that are there. @throws NotFoundError when there is no such stream. */
  async read(options: ReadOptions = {}): Promise<StreamMessage<T>[]> {
    const partition = toInt('partition', options.partition)
    const request = {
      stream: this.name,
      partition,
      maxMessages: toInt('max', options.max),
      filter: toText('filter', options.filter),
      ...toStart(options.from ?? options.offset ?? 0, options.group),
    }
    const { messages } = await this.#context.safe('StreamService/ReadMessages', request, options)
    return messages.map((message) => fromMessage<T>(message, partition))
  }

  /**
   * Messages, those that are there and those to come, pushed by the server: of one partition, or of this subscription's share
   * of them (see `group`). Of one partition none is missed and none comes twice, over breaks of the connection too; of shared
   * ones, what was given and not committed comes again after a break. What is not taken stays on the server.
   *
   * @throws NotFoundError when there is no such stream.
   */
  subscribe(options: SubscribeOptions = {}): AsyncIterableIterator<ReceivedMessage<T>, undefined> {
    const { group, partition } = options
    const context = this.#context
    const commit: Commit = ({ stream, ...place }, offset, call) => commitOffset(context, stream, { ...place, offset }, call)
    if (group !== undefined && partition === undefined) return subscribeShared<T>(context, this.name, group, options, commit)
    return subscribePartition<T>(context, this.name, toInt('partition', partition), options, commit)
  }

  /**
   * Says that a group has processed a message and those before it.
   *
   * @returns the committed offset now: the largest of all commits.
   * @throws ValidationError for an offset that was not written.
   */
  async commit(group: string, partition: number, offset: number, call?: CallOptions): Promise<number> {
    const at = { partition: toInt('partition', partition), offset: toWhole('offset', offset ?? Number.NaN) }
    const item = { group: toText('group', group), ...at, member: '' }
    return commitOffset(this.#context, this.name, item, call)
  }

  /** The last message a group has processed of a partition; -1 when there is none. */
  async committed(group: string, partition = 0, call?: CallOptions): Promise<number> {
    return (await this.group(group).state(partition, call)).committedOffset
  }

  /** The offset of the newest message of a partition; -1 when there is none. */
  async latest(partition = 0, call?: CallOptions): Promise<number> {
    const { partitions } = await this.info(call)
    const found = partitions[partition]
    if (!found) throw invalid('partition', `${partition} is not one of the stream's partitions; they are 0 to ${partitions.length - 1}.`)
    return found.latestOffset
  }

  /** A group of consumers. Makes no call. */
  group(name: string): StreamGroup {
    return new StreamGroup(this.#context, this.name, name)
  }

  /**
   * Creates the stream, or changes its settings; what is left out stays.
   *
   * @throws ConflictError when it would have fewer partitions.
   */
  async create(options: CreateStreamOptions = {}, call?: CallOptions): Promise<StreamInfo> {
    const request = { stream: this.name, ...toSettings(options) }
    return fromStream((await this.#context.safe('StreamService/PutStream', request, call)).stream)
  }

  /** Describes it with its partitions. @throws NotFoundError */
  async info(call?: CallOptions): Promise<StreamInfo> {
    return fromStream((await this.#context.safe('StreamService/GetStream', { stream: this.name }, call)).stream)
  }

  /** Deletes it with its messages and groups. @throws NotFoundError */
  async delete(call?: CallOptions): Promise<void> {
    await this.#context.unsafe('StreamService/DeleteStream', { stream: this.name }, call)
  }
}
