import type * as wire from '@millrace/protocol'
import { Coalescer } from '../calls/coalescer.ts'
import type { ClientContext } from '../context.ts'
import { refusalOf } from '../errors/to-error.ts'
import { createRequestId } from '../ids.ts'
import type { TaskResult } from './types.ts'

/** Lets concurrent submissions travel together. Groups are queues. */
export function createSubmitter({ caller, clock }: ClientContext): Coalescer<wire.NewTask, wire.SubmitTaskResult, TaskResult> {
  return new Coalescer<wire.NewTask, wire.SubmitTaskResult, TaskResult>({
    clock,
    refusal: refusalOf,
    value: ({ taskId, created }) => ({ taskId, created }),
    async send(_queue, tasks, timeoutMs) {
      const request = { tasks: tasks as wire.NewTask[], requestId: createRequestId(clock.now()), allowPartial: true, batch: false }
      return (await caller.unary('TaskService/SubmitTasks', request, { safe: true, waitForRoom: true, timeoutMs })).results
    },
  })
}
