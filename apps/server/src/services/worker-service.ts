import type { WorkerServiceDefinition } from '@millrace/protocol'
import type { ServiceOf } from './call.ts'
import type { ServiceContext } from './context.ts'
import { WorkerSession } from './worker-session.ts'

/** Runs jobs. */
export function createWorkerService(context: ServiceContext): ServiceOf<typeof WorkerServiceDefinition> {
  return {
    processJobs: (requests, call) => new WorkerSession(context, call).run(requests),
  }
}
