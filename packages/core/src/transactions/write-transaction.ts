import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { invalid, ValidationError } from '../errors/errors.ts'
import { createRequestId } from '../ids.ts'
import { toDelete, toIncrement, toSet, toWhole } from '../kv/convert.ts'
import { toNewJob } from '../queues/convert.ts'
import { placeOf, toBatch } from '../streams/convert.ts'
import { toInt, toText } from '../wire.ts'
import type {
  TransactionDelete,
  TransactionIncrement,
  TransactionKvResult,
  TransactionOptions,
  TransactionParts,
  TransactionResult,
} from './types.ts'

type KvPart = NonNullable<TransactionParts['kv']>[number]
type CommitPart = NonNullable<TransactionParts['commits']>[number]

/** Carries out a transaction; what it does is said at `Millrace.writeTransaction`. */
export async function writeTransaction(
  context: ClientContext,
  parts: TransactionParts,
  options: TransactionOptions = {},
): Promise<TransactionResult> {
  const { idempotencyKey } = options
  const keys = parts.kv ?? []
  const request = {
    streams: each('streams', parts.streams, ({ stream, messages }) => ({ stream: toText('stream', stream), ...toBatch(messages) })),
    jobs: each('jobs', parts.jobs, (job) => ({ queue: toText('queue', job.queue), job: toNewJob(job.payload, job) })),
    kv: each('kv', keys, (part) => ({ store: toText('store', part.store), ...toWrite(part) })),
    commits: each('commits', parts.commits, toCommit),
    requestId: idempotencyKey === undefined ? createRequestId(context.clock.now()) : toText('idempotencyKey', idempotencyKey),
  }
  const answer = await context.safe('TransactionService/WriteTransaction', request, options)
  return {
    streams: answer.streams.map(({ offsets }) => offsets),
    jobs: answer.jobs.map(({ jobId, seq, created }) => ({ jobId, seq, created })),
    kv: answer.kv.map((result, i) => toResult(result, keys[i])),
    commits: answer.committedOffsets,
  }
}

/** The parts of a list as they are sent; what is wrong with one is told with its place. */
function each<T, R>(list: string, parts: readonly T[] = [], convert: (part: T) => R): R[] {
  if (!Array.isArray(parts)) throw invalid(list, 'is not an array.')
  return parts.map((part: T, i) => {
    try {
      return convert(part)
    } catch (error) {
      const [wrong] = error instanceof ValidationError ? error.fields : []
      throw wrong ? invalid(`${list}[${i}].${wrong.path}`, wrong.message) : error
    }
  })
}

function toWrite(part: KvPart): wire.EntryWrite {
  if (isDelete(part)) return toDelete(part.key, part)
  if (isIncrement(part)) return toIncrement(part.key, part.increment, part)
  return toSet(part.key, part.value, part)
}

// A field that is there and says nothing, `delete: undefined`, leaves a part what it is without it.
const isDelete = (part: KvPart): part is TransactionDelete => 'delete' in part && part.delete === true
const isIncrement = (part: KvPart): part is TransactionIncrement => 'increment' in part && part.increment !== undefined

function toCommit(part: CommitPart): wire.TransactionCommit {
  // Left out, it would be that of the first message.
  const offset = toWhole('offset', part.offset ?? Number.NaN)!
  const place = placeOf(part)
  if (place) return { ...place, offset }
  if (!('stream' in part)) throw invalid('group', 'is missing; give messages of a subscription that has a group.')
  const { stream, group, partition } = part
  return { stream: toText('stream', stream), group: toText('group', group), partition: toInt('partition', partition), offset, member: '' }
}

/** @param part - absent when this transaction is not the one that the answer was first given to. */
function toResult({ revision, deleted, number }: wire.EntryWriteResult, part: KvPart | undefined): TransactionKvResult {
  return { revision, ...(part && isDelete(part) && { deleted }), ...(part && isIncrement(part) && { number }) }
}
