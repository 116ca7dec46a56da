import type { SubscribeReplayResponse } from '@millrace/protocol'
import type { StreamEngine } from '../domain/streams/engine.ts'
import type { Filter } from '../domain/streams/filter.ts'
import type { Replays } from '../domain/streams/replays.ts'
import { MillraceError } from '../errors.ts'
import type { ReplayRecord } from '../store/replay-port.ts'
import type { Call } from './call.ts'
import { limits } from './limits.ts'
import { sameStream } from './stream-checks.ts'
import { chunkBytes, toMessages } from './stream-shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** What a member gets. */
export interface GroupSubscriptionOptions {
  readonly stream: string
  readonly group: string
  /** Where to begin in a partition of which the group has committed nothing. */
  readonly otherwise: 'earliest' | 'latest'
  readonly filter: Filter | undefined
  /** Where the group's replay is found, and only what that delivers is sent. Absent: all is. */
  readonly replays?: Replays
}

/** Streams messages of a member's share of a stream's partitions, for as long as the call lasts. */
export async function* subscribeGroup(
  streams: StreamEngine,
  options: GroupSubscriptionOptions,
  call: Call,
): AsyncGenerator<SubscribeReplayResponse> {
  const { scope, signal } = call
  const { stream, group, otherwise, filter, replays } = options
  const wakeup = new Wakeup()
  let shared = true
  const member = await streams.join(scope, stream, group, () => {
    shared = true
    wakeup.wake()
  })
  let stale = true
  const stop = streams.follow(scope, stream, () => {
    stale = true
    wakeup.wake()
  })
  let replay: ReplayRecord | undefined
  /** True: that there is no more was said. */
  let ended = false
  let cancelTimer: () => void = () => undefined
  /** The stream that is read, by its number. */
  let known: number | undefined
  /** Where this member is in its partitions. */
  const positions = new Map<number, number>()
  let turn = 0
  /** With `latest`: the newest messages when this member began, which it leaves out. */
  let newest: number[] | undefined

  /** Reads which partitions are this member's; those that stayed go on where they are. */
  const share = async (): Promise<SubscribeReplayResponse> => {
    const assigned = await member.partitions()
    const before = [...positions.keys()]
    for (const partition of before) if (!assigned.includes(partition)) positions.delete(partition)
    for (const partition of assigned) {
      if (positions.has(partition)) continue
      positions.set(partition, await startOf(partition))
    }
    ended = false
    return { member: member.id, rebalanced: true, assigned, partition: 0, messages: [], ended }
  }
  const startOf = async (partition: number) => {
    const committed = (await streams.committed(scope, stream, group))[partition] ?? -1
    const [first] = replay?.ranges[partition] ?? []
    if (committed >= 0 || first !== undefined) return Math.max(committed + 1, first ?? 0)
    if (otherwise === 'earliest') return streams.resolve(scope, stream, partition, { at: otherwise })
    newest ??= (await streams.describe(scope, stream)).partitions.map(({ latest }) => latest)
    const before = newest[partition] ?? -1
    // Whoever takes the partition over goes on from here, however much comes until then.
    if (before >= 0) await streams.commit(scope, stream, [{ group, partition, offset: before, member: member.id }])
    return before + 1
  }

  const end = (): SubscribeReplayResponse | undefined => {
    if (ended) return undefined
    ended = true
    return { member: member.id, rebalanced: false, assigned: [], partition: 0, messages: [], ended }
  }

  const take = async (): Promise<SubscribeReplayResponse | undefined> => {
    if (replays && stale) {
      stale = false
      replay = await replays.find(scope, stream, group)
    }
    if (shared) {
      shared = false
      return share()
    }
    const partitions = [...positions.keys()]
    // One that reads nothing learns here that the stream is gone.
    if (partitions.length === 0) await member.partitions()
    if (replay?.state === 'stopped') return end()
    if (replay && replay.state !== 'running') return undefined
    let waitsFor = Infinity
    for (let i = 0; i < partitions.length; i++) {
      const partition = partitions[(turn + i) % partitions.length]!
      if (replay && positions.get(partition)! >= (replay.ranges[partition]?.[1] ?? 0)) continue
      const from = { offset: positions.get(partition)!, maxMessages: limits.batch, maxBytes: chunkBytes }
      const reading = await streams.read(scope, stream, partition, from)
      known = sameStream(stream, known, reading.number)
      const due = replay && replays!.due(replay, partition, reading)
      const { slices, next } = due ?? reading
      if (due?.waitsFor !== undefined) waitsFor = Math.min(waitsFor, due.waitsFor)
      if (slices.length === 0) {
        if (due) positions.set(partition, next)
        continue
      }
      // Each partition in its turn, so that none waits for the others.
      turn = (turn + i + 1) % partitions.length
      positions.set(partition, next)
      const messages = await toMessages(slices, partition, filter, call)
      return { member: member.id, rebalanced: false, assigned: [], partition, messages, ended }
    }
    if (replay && waitsFor < Infinity) {
      cancelTimer()
      cancelTimer = replays!.whenDue(replay, waitsFor, () => wakeup.wake())
    } else if (replay && partitions.every((partition) => positions.get(partition)! >= (replay!.ranges[partition]?.[1] ?? 0))) return end()
    return undefined
  }
  try {
    yield* pump(take, wakeup, signal)
  } finally {
    stop()
    cancelTimer()
    // A stream that is gone has no members; a store that cannot be written ends the membership by its time.
    await member.close().catch((error: unknown) => {
      if (!(error instanceof MillraceError)) throw error
    })
  }
}
