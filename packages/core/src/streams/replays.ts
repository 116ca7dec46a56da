import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { InternalError, invalid } from '../errors/errors.ts'
import { ResumedStream } from '../follow/resumed-stream.ts'
import type { CallOptions } from '../options.ts'
import { missingField, toDate, toText } from '../wire.ts'
import { commitOffset } from './coalescers.ts'
import { type Commit, Received } from './convert.ts'
import type { ReceivedMessage, SubscribeOptions } from './types.ts'

const states = ['ready', 'running', 'paused', 'stopped'] as const

/** Where a replay stands; a stopped one is over for good. */
export type ReplayState = (typeof states)[number]

/** What a replay is made of. */
export interface CreateReplayOptions extends CallOptions {
  /** The group that it is delivered to, and its name: one that nobody used. */
  readonly group: string
  /** The first message, by its offset in each partition or its time. Default: the oldest kept. */
  readonly from?: number | Date
  /** Before which it ends, by offset or time. Default: with the newest message there is. */
  readonly to?: number | Date
  /** `'original'`: messages come in the time between them that there was when they were written. `'full'` (default): as fast as they are read. */
  readonly speed?: 'full' | 'original'
}

/** A replay and how far it is. */
export interface ReplayInfo {
  /** Its group. */
  readonly group: string
  /** Where it stands. */
  readonly state: ReplayState
  /** How fast it is. */
  readonly speed: 'full' | 'original'
  /** Messages of the range, from the oldest kept one on; with those that compaction removed. */
  readonly total: number
  /** Those of them up to what the group has committed. */
  readonly processed: number
  /** Of each partition: its first offset, the one after its last, and what is committed; -1 when nothing is. */
  readonly partitions: readonly { readonly from: number; readonly to: number; readonly committed: number }[]
  /** When it was created. */
  readonly createdAt: Date
}

/** Replays of a stream: ranges that are delivered once more, each to a group of its own. */
export class StreamReplays<T = unknown> {
  readonly #context: ClientContext
  readonly #stream: string

  /** @internal Use `stream.replay`. */
  constructor(context: ClientContext, stream: string) {
    this.#context = context
    this.#stream = stream
  }

  /**
   * Creates a replay, ready to be started.
   *
   * @throws NotFoundError when there is no such stream; ConflictError when the group is in use.
   */
  async create(options: CreateReplayOptions): Promise<ReplayInfo> {
    const { from, to, speed = 'full' } = options
    // To the server, 0 is as good as nothing.
    if (to === 0) throw invalid('to', '0 is before the first message.')
    if (speed !== 'full' && speed !== 'original') throw invalid('speed', `'${String(speed)}' is not 'full' or 'original'.`)
    const request = {
      ...this.#named(options.group),
      fromOffset: toOffset('from', from),
      fromTime: from instanceof Date ? toDate('from', from) : undefined,
      toOffset: toOffset('to', to),
      toTime: to instanceof Date ? toDate('to', to) : undefined,
      originalSpeed: speed === 'original',
    }
    return fromReplay((await this.#context.unsafe('StreamService/CreateReplay', request, options)).replay)
  }

  /** Describes one. @throws NotFoundError */
  async get(group: string, call?: CallOptions): Promise<ReplayInfo> {
    return fromReplay((await this.#context.safe('StreamService/GetReplay', this.#named(group), call)).replay)
  }

  /** All of the stream by group; at most 100. @throws NotFoundError when there is no such stream. */
  async list(call?: CallOptions): Promise<ReplayInfo[]> {
    return (await this.#context.safe('StreamService/ListReplays', { stream: this.#stream }, call)).replays.map(fromReplay)
  }

  /** Lets it be delivered. @throws NotFoundError; ConflictError when it is stopped. */
  async start(group: string, call?: CallOptions): Promise<ReplayInfo> {
    return this.#become(group, 2, call)
  }

  /** Delivers nothing more until it is resumed; what was sent already may still come. @throws NotFoundError; ConflictError when it does not run. */
  async pause(group: string, call?: CallOptions): Promise<ReplayInfo> {
    return this.#become(group, 3, call)
  }

  /** Goes on where it was. @throws NotFoundError; ConflictError when it is stopped. */
  async resume(group: string, call?: CallOptions): Promise<ReplayInfo> {
    return this.#become(group, 2, call)
  }

  /** Ends it and its subscriptions, for good. @throws NotFoundError */
  async stop(group: string, call?: CallOptions): Promise<ReplayInfo> {
    return this.#become(group, 4, call)
  }

  /** Deletes it; what its group has committed stays. @returns false when there was none. */
  async delete(group: string, call?: CallOptions): Promise<boolean> {
    return (await this.#context.unsafe('StreamService/DeleteReplay', this.#named(group), call)).deleted
  }

  /**
   * This subscription's share of a replay, from after what the group has committed; it waits while the replay is not started or
   * paused, and ends when its share is delivered or the replay is stopped. After a break, what was not committed comes again.
   *
   * @throws NotFoundError when there is no such replay.
   */
  async *subscribe(
    group: string,
    { signal, filter, onAssigned }: Pick<SubscribeOptions, 'signal' | 'filter' | 'onAssigned'> = {},
  ): AsyncGenerator<ReceivedMessage<T>, undefined> {
    const context = this.#context
    const commit: Commit = ({ stream, ...place }, offset, call) => commitOffset(context, stream, { ...place, offset }, call)
    const request = { ...this.#named(group), filter: toText('filter', filter) }
    const received = new ResumedStream<'StreamService/SubscribeReplay', Received<T> | undefined>(context, {
      method: 'StreamService/SubscribeReplay',
      signal,
      request: () => request,
      take: ({ member, rebalanced, assigned, partition, messages, ended }: wire.SubscribeReplayResponse) => {
        if (rebalanced) onAssigned?.(assigned)
        if (ended) return [undefined]
        const place = { stream: request.stream, group, partition, member }
        return messages.map((message) => new Received<T>(message, partition, commit, place))
      },
    })
    for await (const message of received) {
      if (message === undefined) return
      yield message
    }
  }

  async #become(group: string, state: number, call?: CallOptions): Promise<ReplayInfo> {
    const request = { ...this.#named(group), state: state as wire.ReplayState }
    return fromReplay((await this.#context.safe('StreamService/UpdateReplay', request, call)).replay)
  }

  #named(group: string) {
    return { stream: this.#stream, group: toText('group', group) }
  }
}

function toOffset(path: string, place: number | Date | undefined): number {
  if (place === undefined || place instanceof Date) return 0
  if (!Number.isSafeInteger(place)) throw invalid(path, `${String(place)} is not an offset.`)
  return place
}

function fromReplay(replay: wire.Replay | undefined): ReplayInfo {
  if (!replay) throw new InternalError(missingField('the replay'))
  return {
    group: replay.group,
    state: states[replay.state - 1] ?? 'ready',
    speed: replay.originalSpeed ? 'original' : 'full',
    total: replay.total,
    processed: replay.processed,
    partitions: replay.partitions.map(({ fromOffset, toOffset, committedOffset }) => {
      return { from: fromOffset, to: toOffset, committed: committedOffset }
    }),
    createdAt: replay.createdAt ?? new Date(0),
  }
}
