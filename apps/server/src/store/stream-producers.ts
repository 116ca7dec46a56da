import { invalid } from '../errors.ts'
import type { StreamProducer, StreamWriteOutcome } from './stream-port.ts'
import { recall, remember } from './stream-rules.ts'
import { ProducerRefusal } from './trait-port.ts'

/** Writes of a producer whose answers are kept: as many as a producer has under way at a time, and may have to repeat. */
const answersKept = 5

/** How long a producer is remembered that writes no more, in milliseconds: whoever comes later with a number is out of turn. */
export const producersKeptMs = 30 * 24 * 3600_000
/** Others that are looked at when a producer is new: those after it and the first ones, so that in time each is. */
export const lookedAt = 4

/** What is kept of a producer of a stream. */
export interface ProducerState {
  readonly epoch: number
  /** Of its last write in this epoch. */
  readonly seq: number
  /** What its last writes were answered, the newest last, as text. */
  readonly answers: string
}

/**
 * Looks at a producer's write before it is carried out.
 *
 * @returns what the first of its kind was answered, when it is a repeat; without offsets when that is too long ago.
 * @throws ProducerRefusal, or VALIDATION for a new epoch that does not begin with 0.
 */
export function checkProducer(state: ProducerState | undefined, { id, epoch, seq }: StreamProducer): StreamWriteOutcome | undefined {
  if (state && epoch < state.epoch) {
    const message = `The producer '${id}' has begun epoch ${state.epoch}; what writes in epoch ${epoch} was replaced and must stop.`
    throw new ProducerRefusal(message, { epoch: state.epoch })
  }
  if (state && epoch > state.epoch && seq !== 0) throw invalid('producer.seq', `${seq} is not 0, with which each new epoch begins`)
  const last = state?.epoch === epoch ? state.seq : -1
  if (seq > last + 1) {
    const message = `The producer '${id}' made write ${seq} before write ${last + 1}: send those between first.`
    throw new ProducerRefusal(message, { expected: last + 1 })
  }
  if (seq > last) return undefined
  const answer = recall(state!.answers).at(seq - last - 1)
  return answer && 'offsets' in answer ? { ...answer, repeatOf: last } : { partitions: [], offsets: [], repeatOf: last }
}

/** What is kept of a producer after a write. */
export function afterWrite(state: ProducerState | undefined, { epoch, seq }: StreamProducer, answer: StreamWriteOutcome): ProducerState {
  const before = state?.epoch === epoch ? recall(state.answers) : []
  return { epoch, seq, answers: remember([...before.slice(1 - answersKept), answer]) }
}
