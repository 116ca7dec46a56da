import { type NewMessage, type OffsetCommit, type ProducerWrite, StartPosition } from '@millrace/protocol'
import type { SchemaGuard } from '../domain/schemas/guard.ts'
import type { Start } from '../domain/streams/engine.ts'
import { MillraceError } from '../errors.ts'
import type { NewStreamMessage } from '../store/stream-port.ts'
import type { Checks } from './checks.ts'
import { checkKeyText } from './kv-checks.ts'
import { limits } from './limits.ts'

/** Messages of one batch, checked, also against the schema of their stream; `list` names the field. */
export function readMessages(
  checks: Checks,
  list: string,
  messages: readonly NewMessage[],
  payloadLimit: number,
  guard: SchemaGuard | undefined,
): NewStreamMessage[] {
  return messages.map((message, i) => {
    checks.at(list, i)
    const { payload, contentType, headers, key, partition } = message
    checks.payload('payload', payload, payloadLimit)
    if (contentType !== '') checks.text('contentType', contentType, limits.text)
    checks.headers('headers', headers)
    if (key !== '') checkKeyText(checks, 'key', key)
    if (partition !== undefined) checkPartition(checks, 'partition', partition)
    return guard ? checks.schema(guard, message) : message
  })
}

export function checkPartition(checks: Checks, field: string, partition: number): void {
  checks.integer(field, partition, 0, limits.partitions - 1)
}

/**
 * Which stream a subscription reads, by its number.
 *
 * @param before - the one it has read until now; undefined: none.
 * @throws NOT_FOUND when that one is deleted, and another has its name: its offsets are others.
 */
export function sameStream(name: string, before: number | undefined, number: number): number {
  if (before === undefined || before === number) return number
  throw new MillraceError('NOT_FOUND', `The stream '${name}' was deleted and made anew: subscribe again, from its beginning.`, {
    resource: 'stream',
    id: name,
  })
}

/** Which of a producer's writes it is, checked. */
export function readProducer(checks: Checks, producer: ProducerWrite | undefined): ProducerWrite | undefined {
  if (!producer) return undefined
  checks.name('producer.id', producer.id)
  checks.integer('producer.epoch', producer.epoch, 0, Number.MAX_SAFE_INTEGER)
  checks.integer('producer.seq', producer.seq, 0, Number.MAX_SAFE_INTEGER)
  return producer
}

/** Checks a commit of an offset; fields are those of the current item. */
export function checkCommit(checks: Checks, { group, partition, offset, member }: OffsetCommit): void {
  checks.name('group', group)
  checkPartition(checks, 'partition', partition)
  checks.integer('offset', offset, 0, Number.MAX_SAFE_INTEGER)
  checks.text('member', member, limits.text)
}

/** Where reading begins, checked. */
export function readStart(
  checks: Checks,
  request: { readonly offset: number; readonly start: StartPosition; readonly time: Date | undefined; readonly group: string },
): Start {
  const { start, offset, group } = request
  if (start !== StartPosition.UNSPECIFIED && offset !== 0) checks.fail('offset', 'stands beside start; give one of them')
  switch (start) {
    case StartPosition.UNSPECIFIED:
      checks.integer('offset', offset, 0, Number.MAX_SAFE_INTEGER)
      return { at: 'offset', offset }
    case StartPosition.EARLIEST:
      return { at: 'earliest' }
    case StartPosition.LATEST:
      return { at: 'latest' }
    case StartPosition.COMMITTED:
      checks.name('group', group)
      return { at: 'committed', group }
    case StartPosition.TIME: {
      const time = checks.time('time', request.time)
      if (request.time === undefined) checks.fail('time', 'is missing; give the time to begin at')
      return { at: 'time', time: time ?? 0 }
    }
    default:
      checks.fail('start', `${start} is not a position`)
      return { at: 'latest' }
  }
}
