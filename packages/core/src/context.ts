import type * as wire from '@millrace/protocol'
import { Caller } from './calls/caller.ts'
import { Coalescer } from './calls/coalescer.ts'
import type { Clock } from './clock.ts'
import { toMs } from './durations.ts'
import { type MillraceError, UnavailableError } from './errors/errors.ts'
import { errorFromItem } from './errors/to-error.ts'
import { TaskFollower } from './follow/task-follower.ts'
import { createRequestId } from './ids.ts'
import { createKvCoalescers } from './kv/coalescers.ts'
import type { CallOptions, CompiledOptions } from './options.ts'
import type { EnqueueResult } from './queues/types.ts'
import type { TaskResult } from './tasks/types.ts'
import type { Transport } from './transport.ts'

/** What the parts of one client share. */
export interface ClientContext {
  readonly transport: Transport
  readonly options: CompiledOptions
  readonly clock: Clock
  readonly caller: Caller
  /** Groups are queues. */
  readonly submitter: Coalescer<wire.NewTask, wire.SubmitTaskResult, TaskResult>
  /** Groups are queues. */
  readonly enqueuer: Coalescer<wire.NewJob, wire.EnqueueResult, EnqueueResult>
  /** Resolves with the end of the lease, after a renewal. */
  readonly settler: Coalescer<wire.Settlement, wire.SettleResult, Date | undefined>
  /** Groups are KV stores. Writes of one group are carried out in order. */
  readonly kvWriter: Coalescer<wire.EntryWrite, wire.EntryWriteResult, wire.EntryWriteResult>
  /** Groups are KV stores. */
  readonly kvReader: Coalescer<string, wire.ReadEntryResult, wire.Entry | undefined>
  readonly follower: TaskFollower
  /** Called when the client is closed. */
  readonly onClose: Set<(error: MillraceError) => void>
}

/** Makes what the parts of one client share. */
export function createContext(transport: Transport, options: CompiledOptions, clock: Clock): ClientContext {
  const caller = new Caller(transport, options, clock)
  const refusal = ({ error }: { readonly error: wire.ItemError | undefined }): MillraceError | undefined => error && errorFromItem(error)
  const write = { safe: true, waitForRoom: true } as const
  return {
    transport,
    options,
    clock,
    caller,
    follower: new TaskFollower(transport, options, clock),
    onClose: new Set(),
    submitter: new Coalescer<wire.NewTask, wire.SubmitTaskResult, TaskResult>({
      clock,
      refusal,
      value: ({ taskId, created }) => ({ taskId, created }),
      async send(_queue, tasks, timeoutMs) {
        const request = { tasks: tasks as wire.NewTask[], requestId: createRequestId(clock.now()), allowPartial: true, batch: false }
        return (await caller.unary('TaskService/SubmitTasks', request, { ...write, timeoutMs })).results
      },
    }),
    enqueuer: new Coalescer<wire.NewJob, wire.EnqueueResult, EnqueueResult>({
      clock,
      refusal,
      value: ({ jobId, seq, created }) => ({ jobId, seq, created }),
      async send(queue, jobs, timeoutMs) {
        const request = { queue, jobs: jobs as wire.NewJob[], requestId: createRequestId(clock.now()), allowPartial: true }
        return (await caller.unary('QueueService/EnqueueJobs', request, { ...write, timeoutMs })).results
      },
    }),
    settler: new Coalescer<wire.Settlement, wire.SettleResult, Date | undefined>({
      clock,
      refusal,
      value: (result) => result.leaseExpiresAt,
      async send(_group, settlements, timeoutMs) {
        // Safe to repeat: each carries its lease, so it is carried out once at most.
        const call = { safe: true, timeoutMs }
        return (await caller.unary('QueueService/SettleJobs', { settlements: settlements as wire.Settlement[] }, call)).results
      },
    }),
    ...createKvCoalescers(caller, clock),
  }
}

/** Ends what the parts of one client share, and the transport. */
export async function closeContext(context: ClientContext): Promise<void> {
  const error = new UnavailableError({ reason: 'UNAVAILABLE', message: 'This client is closed.' })
  const { submitter, enqueuer, settler, kvWriter, kvReader } = context
  for (const coalescer of [submitter, enqueuer, settler, kvWriter, kvReader]) coalescer.close(error)
  context.caller.close(error)
  for (const close of context.onClose) close(error)
  context.follower.close(error)
  await context.transport.close()
}

/** A call's own bounds, compiled. */
export function compileCall(
  options: CompiledOptions,
  call: CallOptions | undefined,
): { readonly timeoutMs: number; readonly signal: AbortSignal | undefined } {
  if (!call) return { timeoutMs: options.timeoutMs, signal: undefined }
  return { timeoutMs: call.timeout === undefined ? options.timeoutMs : toMs('timeout', call.timeout), signal: call.signal }
}
