import { MillraceError } from '../errors.ts'
import type { StreamBatch, StreamWriteOutcome } from './stream-port.ts'
import { checkProducer, type ProducerState } from './stream-producers.ts'
import { StreamClosed, type StreamTraits } from './trait-port.ts'

/**
 * Looks at a batch before it is written.
 *
 * @param state - of its producer.
 * @returns what to answer, when nothing is to be written.
 * @throws StreamClosed, ProducerRefusal, CONFLICT, VALIDATION
 */
export function admitBatch(
  name: string,
  traits: StreamTraits,
  state: ProducerState | undefined,
  { messages, producer, closes = false, order }: StreamBatch,
): StreamWriteOutcome | undefined {
  if (
    traits.closed &&
    !(producer && state && (producer.epoch < state.epoch || (producer.epoch === state.epoch && producer.seq <= state.seq)))
  ) {
    if (!producer && closes && messages.length === 0) return { partitions: [], offsets: [] }
    throw new StreamClosed(name)
  }
  const repeat = producer && checkProducer(state, producer)
  if (repeat) return repeat
  if (order !== undefined && order <= traits.order) {
    throw new MillraceError('CONFLICT', `The order '${order}' does not come after '${traits.order}', the last one of the stream '${name}'.`)
  }
  return undefined
}

/** What a stream is after a batch was written. */
export function traitsAfter(traits: StreamTraits, { closes = false, order = traits.order }: StreamBatch, now: number): StreamTraits {
  const expiresAt = usedUntil(traits, now)
  if (!closes && order === traits.order && expiresAt === traits.expiresAt) return traits
  return { ...traits, closed: traits.closed || closes, order, expiresAt }
}

/** When a stream ends that is used now: up to a tenth later than it must, so that not every use has to be written down. */
export function usedUntil({ ttlMs, expiresAt }: StreamTraits, now: number): number {
  return ttlMs === 0 || expiresAt - now >= ttlMs ? expiresAt : now + Math.ceil(ttlMs * 1.1)
}
