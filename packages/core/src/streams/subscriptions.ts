import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import { ResumedStream } from '../follow/resumed-stream.ts'
import { toText } from '../wire.ts'
import { type Commit, Received, toStart } from './convert.ts'
import type { ReceivedMessage, SubscribeOptions } from './types.ts'

/** Messages of one partition. */
export function subscribePartition<T>(
  context: ClientContext,
  stream: string,
  partition: number,
  { from, group, signal, filter }: SubscribeOptions,
  commit: Commit,
): AsyncIterableIterator<ReceivedMessage<T>, undefined> {
  let start = toStart(from ?? (group ? 'committed' : 'latest'), group)
  const place = group === undefined ? undefined : { stream, group, partition, member: '' }
  return new ResumedStream(context, {
    method: 'StreamService/SubscribeMessages',
    signal,
    request: () => ({ stream, partition, ...start, filter: toText('filter', filter) }),
    take: ({ messages, nextOffset }: wire.SubscribeMessagesResponse) => {
      start = toStart(nextOffset, group)
      return messages.map((message) => new Received<T>(message, partition, commit, place))
    },
  })
}

/** Messages of a member's share of a group's partitions. */
export function subscribeShared<T>(
  context: ClientContext,
  stream: string,
  group: string,
  { from = 'committed', signal, onAssigned, filter }: SubscribeOptions,
  commit: Commit,
): AsyncIterableIterator<ReceivedMessage<T>, undefined> {
  if (typeof from !== 'string') throw invalid('from', "is 'earliest', 'latest' or 'committed' where a group shares the partitions.")
  const request = { stream, group: toText('group', group), start: toStart(from, group).start, filter: toText('filter', filter) }
  return new ResumedStream(context, {
    method: 'StreamService/SubscribeGroup',
    signal,
    request: () => request,
    take: ({ member, rebalanced, assigned, partition, messages }: wire.SubscribeGroupResponse) => {
      if (rebalanced) onAssigned?.(assigned)
      // It has begun: after a break, a partition of which nothing is committed was empty then, and is read from the earliest.
      request.start = 1
      const place = { stream, group, partition, member }
      return messages.map((message) => new Received<T>(message, partition, commit, place))
    },
  })
}
