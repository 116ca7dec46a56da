import type { SubscribeGroupResponse } from '@millrace/protocol'
import type { StreamEngine } from '../domain/streams/engine.ts'
import type { Filter } from '../domain/streams/filter.ts'
import { MillraceError } from '../errors.ts'
import type { Call } from './call.ts'
import { limits } from './limits.ts'
import { chunkBytes, toMessages } from './stream-shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** What a member gets. */
export interface GroupSubscriptionOptions {
  readonly stream: string
  readonly group: string
  /** Where to begin in a partition of which the group has committed nothing. */
  readonly otherwise: 'earliest' | 'latest'
  readonly filter: Filter | undefined
}

/** Streams messages of a member's share of a stream's partitions, for as long as the call lasts. */
export async function* subscribeGroup(
  streams: StreamEngine,
  options: GroupSubscriptionOptions,
  { scope, signal }: Call,
): AsyncGenerator<SubscribeGroupResponse> {
  const { stream, group, otherwise, filter } = options
  const wakeup = new Wakeup()
  let shared = true
  const member = await streams.join(scope, stream, group, () => {
    shared = true
    wakeup.wake()
  })
  const stop = streams.follow(scope, stream, () => wakeup.wake())
  /** Where this member is in its partitions. */
  const positions = new Map<number, number>()
  let turn = 0

  /** Reads which partitions are this member's; those that stayed go on where they are. */
  const share = async (): Promise<SubscribeGroupResponse | undefined> => {
    const assigned = await member.partitions()
    const before = [...positions.keys()]
    for (const partition of before) if (!assigned.includes(partition)) positions.delete(partition)
    for (const partition of assigned) {
      if (positions.has(partition)) continue
      positions.set(partition, await startOf(partition))
    }
    return { member: member.id, rebalanced: true, assigned, partition: 0, messages: [] }
  }
  const startOf = async (partition: number) => {
    const committed = (await streams.committed(scope, stream, group))[partition] ?? -1
    if (committed >= 0) return committed + 1
    return streams.resolve(scope, stream, partition, { at: otherwise })
  }

  const take = async (): Promise<SubscribeGroupResponse | undefined> => {
    if (shared) {
      shared = false
      return share()
    }
    const partitions = [...positions.keys()]
    for (let i = 0; i < partitions.length; i++) {
      const partition = partitions[(turn + i) % partitions.length]!
      const from = { offset: positions.get(partition)!, maxMessages: limits.batch, maxBytes: chunkBytes }
      const { slices, next } = await streams.read(scope, stream, partition, from)
      if (slices.length === 0) continue
      // Each partition in its turn, so that none waits for the others.
      turn = (turn + i + 1) % partitions.length
      positions.set(partition, next)
      return { member: member.id, rebalanced: false, assigned: [], partition, messages: toMessages(slices, partition, filter) }
    }
    return undefined
  }
  try {
    yield* pump(take, wakeup, signal)
  } finally {
    stop()
    // A stream that is gone has no members; a store that cannot be written ends the membership by its time.
    await member.close().catch((error: unknown) => {
      if (!(error instanceof MillraceError)) throw error
    })
  }
}
