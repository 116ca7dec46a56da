import { crc32 } from 'node:zlib'
import { invalid, MillraceError, notFound } from '../errors.ts'
import type { NewStreamMessage, StreamCommit, StreamWriteOutcome, StreamWriteRequest } from './stream-port.ts'

/**
 * Where each message of a batch goes: to its partition, or by its key; the others to one partition, whose turn it is.
 *
 * @throws MillraceError VALIDATION when there is no such partition.
 */
export function placesOf(batch: readonly NewStreamMessage[], partitions: number, turn: number): number[] {
  return batch.map(({ partition, key }, i) => {
    if (partition === undefined) return partitions === 1 ? 0 : (key === '' ? turn : crc32(key)) % partitions
    if (partition < partitions) return partition
    throw noPartition(`messages[${i}].partition`, partition, partitions)
  })
}

/** There is no such partition. */
export function noPartition(path: string, partition: number, partitions: number): MillraceError {
  return invalid(path, `${partition} is not one of the stream's partitions; they are 0 to ${partitions - 1}`)
}

/** There is no such stream. */
export function noStream(name: string): MillraceError {
  return notFound('stream', name)
}

/** Checks a commit against what there is. */
export function checkCommit({ partition, offset }: StreamCommit, latestOf: readonly number[]): void {
  const latest = latestOf[partition]
  if (latest === undefined) throw noPartition('partition', partition, latestOf.length)
  if (offset > latest) {
    throw invalid('offset', `${offset} was not written yet; the newest message of partition ${partition} has ${latest}`)
  }
}

/** A member's commit, when the partition is another's by now. */
export function notOwner({ group, partition, member }: StreamCommit): MillraceError {
  return new MillraceError(
    'CONFLICT',
    `Partition ${partition} does not belong to the member '${member}' of group '${group}' any more: another one processes it from the committed offset on.`,
  )
}

/**
 * Shares partitions evenly: who has some keeps as many as are its share, so that few move.
 *
 * @param owners - by partition, before.
 * @param members - in the order in which they joined.
 * @returns by partition, after.
 */
export function shareOut(owners: readonly (string | undefined)[], members: readonly string[]): (string | undefined)[] {
  if (members.length === 0) return owners.map(() => undefined)
  const has = new Map(members.map((member) => [member, 0]))
  for (const owner of owners) if (owner !== undefined && has.has(owner)) has.set(owner, has.get(owner)! + 1)
  const least = Math.floor(owners.length / members.length)
  const more = owners.length % members.length
  // Those who have most get the shares that are one larger.
  const shares = new Map([...members].sort((a, b) => has.get(b)! - has.get(a)!).map((member, i) => [member, least + (i < more ? 1 : 0)]))
  const left = new Map(shares)
  const kept = owners.map((owner) => {
    const room = owner === undefined ? 0 : (left.get(owner) ?? 0)
    if (room === 0) return undefined
    left.set(owner!, room - 1)
    return owner
  })
  const free = members.flatMap((member) => Array.from({ length: left.get(member)! }, () => member))
  return kept.map((owner) => owner ?? free.shift())
}

/** The settings would leave fewer partitions. */
export function fewerPartitions(name: string, has: number, wanted: number): MillraceError {
  return new MillraceError(
    'FAILED_PRECONDITION',
    `The stream '${name}' has ${has} partitions and cannot have ${wanted}: they only become more.`,
  )
}

/** The stream is one sequence, and would not be with more partitions. */
export function oneSequence(name: string): MillraceError {
  return new MillraceError(
    'FAILED_PRECONDITION',
    `The stream '${name}' was created as a durable stream, which is one sequence: it has one partition.`,
  )
}

/** The stream is one sequence, of which nothing may be missing. */
export function notCompacted(name: string): MillraceError {
  return new MillraceError(
    'FAILED_PRECONDITION',
    `The stream '${name}' was created as a durable stream, which keeps every message: it has no compaction.`,
  )
}

/** What of a failed item stays its own; what the storage itself says is everybody's. */
export function refusalOf(error: unknown): { readonly error: MillraceError } {
  if (error instanceof MillraceError && error.reason !== 'UNAVAILABLE') return { error }
  throw error
}

/** Under which id a request's answer is remembered. */
export function answerKey({ scope, stream, requestId }: StreamWriteRequest): string {
  return `stream ${scope.namespace} ${stream} ${requestId}`
}

/** `[partition, first offset, how many]` of messages that follow each other, or a refusal. */
type Remembered = readonly (readonly [number, number, number])[] | { readonly reason: string; readonly message: string }

/** An answer as text, to be remembered. */
export function remember(outcomes: readonly StreamWriteOutcome[]): string {
  const short = outcomes.map((outcome): Remembered => {
    if ('error' in outcome) return { reason: outcome.error.reason, message: outcome.error.message }
    const runs: [number, number, number][] = []
    for (const [i, partition] of outcome.partitions.entries()) {
      const offset = outcome.offsets[i]!
      const last = runs.at(-1)
      if (last && last[0] === partition && last[1] + last[2] === offset) last[2]++
      else runs.push([partition, offset, 1])
    }
    return runs
  })
  return JSON.stringify(short)
}

/** The answer that {@link remember} wrote. */
export function recall(text: string): readonly StreamWriteOutcome[] {
  return (JSON.parse(text) as readonly Remembered[]).map((short): StreamWriteOutcome => {
    if ('reason' in short) return { error: new MillraceError(short.reason as MillraceError['reason'], short.message) }
    const partitions: number[] = []
    const offsets: number[] = []
    for (const [partition, first, count] of short) {
      for (let i = 0; i < count; i++) {
        partitions.push(partition)
        offsets.push(first + i)
      }
    }
    return { partitions, offsets }
  })
}
