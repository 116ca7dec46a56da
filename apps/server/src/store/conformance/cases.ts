import { claimCases } from './claim.ts'
import { enqueueCases } from './enqueue.ts'
import type { Case } from './harness.ts'
import { keyCases } from './keys.ts'
import { kvCases } from './kv.ts'
import { kvModelCases } from './kv-model.ts'
import { lifeCases } from './life.ts'
import { limitedCases } from './limited.ts'
import { modelCases } from './model.ts'
import { pipelineCases } from './pipelines.ts'
import { pipelineModelCases } from './pipelines-model.ts'
import { proofCases } from './proofs.ts'
import { queueCases } from './queues.ts'
import { scheduleCases } from './schedules.ts'
import { settleCases } from './settle.ts'
import { statefulCases } from './stateful.ts'
import { statefulModelCases } from './stateful-model.ts'
import { streamCases } from './streams.ts'
import { webhookCases } from './webhooks.ts'

/** Every behaviour of a store, by its part. */
export const conformanceCases: Readonly<Record<string, readonly Case[]>> = {
  enqueue: enqueueCases,
  claim: claimCases,
  settle: settleCases,
  life: lifeCases,
  queues: queueCases,
  keys: keyCases,
  stateful: statefulCases,
  proofs: proofCases,
  limited: limitedCases,
  schedules: scheduleCases,
  webhooks: webhookCases,
  pipelines: pipelineCases,
  model: [...modelCases, ...statefulModelCases, ...pipelineModelCases],
  streams: streamCases,
  kv: kvCases,
  'kv model': kvModelCases,
}
