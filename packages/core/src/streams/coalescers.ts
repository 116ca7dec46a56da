import type * as wire from '@millrace/protocol'
import { Coalescer } from '../calls/coalescer.ts'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import { refusalOf } from '../errors/to-error.ts'
import { createRequestId } from '../ids.ts'
import type { CallOptions } from '../options.ts'
import { itemOverhead } from '../wire.ts'

/** Lets concurrent writes of messages travel together. Groups are streams; writes of one group are carried out in order. */
export function createStreamWriter({ caller, clock }: ClientContext): Coalescer<wire.MessageBatch, wire.WriteResult, number[]> {
  return new Coalescer<wire.MessageBatch, wire.WriteResult, number[]>({
    clock,
    // One after the other, so that a later write never comes first.
    maxInFlight: 1,
    refusal: refusalOf,
    value: ({ offsets }) => offsets,
    async send(stream, batches, timeoutMs) {
      const request = { stream, batches: batches as wire.MessageBatch[], requestId: createRequestId(clock.now()) }
      return (await caller.unary('StreamService/WriteBatches', request, { safe: true, timeoutMs })).results
    },
  })
}

/** Lets concurrent commits of offsets travel together. Groups are streams. */
function createStreamCommitter({ caller, clock }: ClientContext): Coalescer<wire.OffsetCommit, wire.CommitResult, number> {
  return new Coalescer<wire.OffsetCommit, wire.CommitResult, number>({
    clock,
    refusal: refusalOf,
    value: ({ committedOffset }) => committedOffset,
    async send(stream, commits, timeoutMs) {
      // Safe to repeat: a committed offset never goes back.
      const call = { safe: true, timeoutMs }
      return (await caller.unary('StreamService/CommitOffsets', { stream, commits: commits as wire.OffsetCommit[] }, call)).results
    },
  })
}

/** Commits an offset. */
export async function commitOffset(context: ClientContext, stream: string, commit: wire.OffsetCommit, call?: CallOptions): Promise<number> {
  const { timeoutMs, signal } = context.bounds(call)
  if (!Number.isSafeInteger(commit.offset)) throw invalid('offset', `${commit.offset} is not an offset.`)
  return context.shared(createStreamCommitter).add(stream, commit, itemOverhead, timeoutMs, signal)
}
