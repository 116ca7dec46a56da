import type { Clock } from '../../clock.ts'
import { MillraceError, notFound } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type { ReplayRecord, ReplayState, ReplayStorage } from '../../store/replay-port.ts'
import type { StreamReading, StreamStorage } from '../../store/stream-port.ts'
import type { StreamEngine } from './engine.ts'

/** What is delivered once more. An offset or time of each partition; absent: from the oldest kept message, to the newest. */
export interface ReplayRange {
  readonly from: number | { readonly time: number } | undefined
  readonly to: number | { readonly time: number } | undefined
  readonly originalSpeed: boolean
}

/** A replay with how far its group is. */
export interface ReplayProgress extends ReplayRecord {
  /** By partition; -1 when there is none. */
  readonly committed: readonly number[]
  /** Offsets of the range from the oldest kept message on, and those of them up to what the group has committed. */
  readonly total: number
  readonly processed: number
}

/** From which states a replay comes to be in another. */
const changes: Readonly<Record<Exclude<ReplayState, 'ready'>, readonly ReplayState[]>> = {
  running: ['ready', 'paused'],
  paused: ['running'],
  stopped: ['ready', 'running', 'paused'],
}

/** Replays of streams: ranges that are delivered once more, each to a group of its own. */
export class Replays {
  readonly #engine: StreamEngine
  readonly #streams: StreamStorage
  readonly #replays: ReplayStorage
  readonly #clock: Clock

  constructor(parts: {
    readonly engine: StreamEngine
    readonly streams: StreamStorage
    readonly replays: ReplayStorage
    readonly clock: Clock
  }) {
    this.#engine = parts.engine
    this.#streams = parts.streams
    this.#replays = parts.replays
    this.#clock = parts.clock
  }

  /** Creates one, ready to be started. Rejects with NOT_FOUND, CONFLICT when the group is in use, QUOTA_EXCEEDED. */
  async create(scope: Scope, stream: string, group: string, range: ReplayRange): Promise<ReplayProgress> {
    const { partitions } = await this.#engine.describe(scope, stream)
    const number = await this.#numberOf(scope, stream)
    const committed = await this.#streams.committed(scope, stream, group)
    const owners = await this.#streams.owners(scope, stream, group)
    if (committed.some((offset) => offset >= 0) || owners.some((owner) => owner !== undefined)) throw inUse(group)
    const at = async (partition: number, place: ReplayRange['from'], otherwise: number) => {
      if (place === undefined) return otherwise
      return typeof place === 'number' ? place : this.#streams.offsetAt(scope, stream, partition, place.time)
    }
    const ranges: [number, number][] = []
    for (const [partition, { earliest, latest }] of partitions.entries()) {
      const from = Math.max(await at(partition, range.from, earliest), earliest)
      const to = Math.min(await at(partition, range.to, latest + 1), latest + 1)
      ranges.push([from, Math.max(from, to)])
    }
    const baseAt = range.originalSpeed ? await this.#firstOf(scope, stream, ranges) : undefined
    if (!(await this.#replays.add(scope, { stream, number, group, ranges, baseAt }, this.#clock.now()))) throw inUse(group)
    return this.get(scope, stream, group)
  }

  /** Rejects with NOT_FOUND. */
  async find(scope: Scope, stream: string, group: string): Promise<ReplayRecord> {
    const replay = await this.#replays.get(scope, stream, group)
    if (!replay || replay.number !== (await this.#numberOf(scope, stream))) throw notFound('replay', group)
    return replay
  }

  /** Rejects with NOT_FOUND. */
  async get(scope: Scope, stream: string, group: string): Promise<ReplayProgress> {
    return this.#progress(scope, await this.find(scope, stream, group))
  }

  /** By group. Rejects with NOT_FOUND. */
  async list(scope: Scope, stream: string): Promise<readonly ReplayProgress[]> {
    const number = await this.#numberOf(scope, stream)
    const found = (await this.#replays.list(scope, stream)).filter((replay) => replay.number === number)
    return Promise.all(found.map((replay) => this.#progress(scope, replay)))
  }

  /** Starts, pauses, resumes or stops one. Rejects with NOT_FOUND and FAILED_PRECONDITION. */
  async change(scope: Scope, stream: string, group: string, to: Exclude<ReplayState, 'ready'>): Promise<ReplayProgress> {
    const before = await this.find(scope, stream, group)
    const changed = await this.#replays.change(scope, stream, group, { from: changes[to], to }, this.#clock.now())
    this.#engine.wake(scope, stream)
    if (changed) return this.#progress(scope, changed)
    const now = await this.find(scope, stream, group)
    if (now.state === to) return this.#progress(scope, now)
    throw new MillraceError('FAILED_PRECONDITION', `The replay '${group}' is ${before.state} and cannot become ${to}.`)
  }

  /** False when there was none. */
  async delete(scope: Scope, stream: string, group: string): Promise<boolean> {
    const deleted = await this.#replays.delete(scope, stream, group)
    this.#engine.wake(scope, stream)
    return deleted
  }

  /** Calls `fn` when a message of that time is due; returns what cancels it. */
  whenDue(replay: ReplayRecord, timestamp: number, fn: () => void): () => void {
    return this.#clock.timer(Math.max(timestamp - this.#reached(replay), 0), fn)
  }

  /** Of what was read, what a replay delivers by now: `next` is after the last of it, `waitsFor` the time of the first that is not due. */
  due(replay: ReplayRecord, partition: number, { slices, next }: StreamReading) {
    const end = replay.ranges[partition]?.[1] ?? 0
    // What there was of the range is dropped.
    if (slices.length === 0) return { slices, next: end, waitsFor: undefined }
    const reached = this.#reached(replay)
    const given: StreamReading['slices'][number][] = []
    for (const slice of slices) {
      if (slice.firstOffset >= end) return { slices: given, next: end, waitsFor: undefined }
      if (slice.timestamp > reached) return { slices: given, next: slice.firstOffset, waitsFor: slice.timestamp }
      given.push({ ...slice, messages: slice.messages.slice(0, end - slice.firstOffset) })
    }
    return { slices: given, next: Math.min(next, end), waitsFor: undefined }
  }

  /** Messages up to this time are due: as much later than the first as the replay has run. */
  #reached({ baseAt, state, elapsedMs, since }: ReplayRecord): number {
    if (baseAt === undefined) return Infinity
    return baseAt + elapsedMs + (state === 'running' ? Math.max(this.#clock.now() - since, 0) : 0)
  }

  /** When the first message of some ranges was written. */
  async #firstOf(scope: Scope, stream: string, ranges: readonly (readonly [from: number, to: number])[]): Promise<number> {
    const times: number[] = []
    for (const [partition, [offset, to]] of ranges.entries()) {
      if (offset === to) continue
      const { slices } = await this.#streams.read(scope, stream, partition, { offset, maxMessages: 1, maxBytes: 1 })
      if (slices[0]) times.push(slices[0].timestamp)
    }
    return Math.min(...times, this.#clock.now())
  }

  async #progress(scope: Scope, replay: ReplayRecord): Promise<ReplayProgress> {
    const { partitions } = await this.#engine.describe(scope, replay.stream)
    const committed = await this.#streams.committed(scope, replay.stream, replay.group)
    let [total, processed] = [0, 0]
    for (const [partition, [from, to]] of replay.ranges.entries()) {
      const first = Math.max(from, partitions[partition]?.earliest ?? 0)
      if (first >= to) continue
      total += to - first
      processed += Math.min(Math.max((committed[partition] ?? -1) + 1 - first, 0), to - first)
    }
    return { ...replay, committed: replay.ranges.map((_, partition) => committed[partition] ?? -1), total, processed }
  }

  async #numberOf(scope: Scope, stream: string): Promise<number> {
    const state = await this.#streams.state(scope, stream)
    if (!state || state.gone) throw notFound('stream', stream)
    return state.number
  }
}

function inUse(group: string): MillraceError {
  return new MillraceError(
    'CONFLICT',
    `The group '${group}' is in use: a replay has a group of its own, that nobody has committed anything for. Give another name.`,
  )
}
