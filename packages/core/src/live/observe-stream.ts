import type { ClientBase } from '../client-base.ts'
import { invalid } from '../errors/errors.ts'
import { fromMessage, toStart } from '../streams/convert.ts'
import type { StreamMessage } from '../streams/types.ts'
import { toInt, toText } from '../wire.ts'
import { createObserver } from './registry.ts'
import { streamSource } from './sources.ts'
import type { Observer } from './types.ts'

/** What of an event stream is looked at. */
export interface LiveStreamOptions {
  /** Default 0. */
  readonly partition?: number
  /** Where to begin: the messages from now on (`'latest'`, the default), the oldest kept one, an offset, or a time. */
  readonly from?: 'latest' | 'earliest' | number | Date
  /** Messages that are kept to show: the last ones. 1 to 10,000, default 100. */
  readonly limit?: number
}

/** The end of an event stream. */
export interface LiveMessages<T = unknown> {
  /** The last messages since the look began, oldest first. */
  readonly messages: readonly StreamMessage<T>[]
}

/**
 * The last messages of a partition of an event stream, as they are written. After a break it goes on where it was.
 *
 * @typeParam T - what their payloads are.
 */
export function observeStream<T = unknown>(client: ClientBase, stream: string, options: LiveStreamOptions = {}): Observer<LiveMessages<T>> {
  const { from = 'latest', limit = 100 } = options
  const partition = toInt('partition', options.partition)
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) throw invalid('limit', `${limit} is not a whole number from 1 to 10000.`)
  const name = toText('stream', stream)
  const begin = toStart(from, undefined)
  return createObserver(client, `stream ${JSON.stringify([name, partition, from, limit])}`, (context) => {
    let start = begin
    let messages: readonly StreamMessage<T>[] = []
    return streamSource(context, 'StreamService/SubscribeMessages', () => ({
      request: { stream: name, partition, ...start, filter: '' },
      read(message) {
        start = toStart(message.nextOffset, undefined)
        // Of more than are kept, those that would be dropped are not read.
        const news = message.messages.slice(-limit).map((each) => fromMessage<T>(each, partition))
        messages = [...messages.slice(Math.min(messages.length, Math.max(0, messages.length + news.length - limit))), ...news]
        return { messages }
      },
    }))
  })
}
