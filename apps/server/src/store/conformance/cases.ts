import { claimCases } from './claim.ts'
import { enqueueCases } from './enqueue.ts'
import { fairCases } from './fair.ts'
import { fairLimitsCases } from './fair-limits.ts'
import type { Case } from './harness.ts'
import { keyCases } from './keys.ts'
import { kvCases } from './kv.ts'
import { kvModelCases } from './kv-model.ts'
import { lifeCases } from './life.ts'
import { limitedCases } from './limited.ts'
import { modelCases } from './model.ts'
import { pipelineStormCases } from './pipeline-storm.ts'
import { pipelineCases } from './pipelines.ts'
import { pipelineModelCases } from './pipelines-model.ts'
import { proofCases } from './proofs.ts'
import { queueCases } from './queues.ts'
import { ratedCases } from './rated.ts'
import { replayCases } from './replays.ts'
import { scheduleCases } from './schedules.ts'
import { schemaCases } from './schemas.ts'
import { settleCases } from './settle.ts'
import { statefulCases } from './stateful.ts'
import { statefulModelCases } from './stateful-model.ts'
import { streamCompactionCases } from './stream-compaction.ts'
import { streamLifecycleCases } from './stream-lifecycle.ts'
import { streamProducerCases } from './stream-producers.ts'
import { streamCases } from './streams.ts'
import { streamModelCases } from './streams-model.ts'
import { transactionCases } from './transactions.ts'
import { triggeredCases } from './triggered.ts'
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
  rated: ratedCases,
  fair: fairCases,
  fairLimits: fairLimitsCases,
  triggered: triggeredCases,
  schedules: scheduleCases,
  webhooks: webhookCases,
  schemas: schemaCases,
  replays: replayCases,
  pipelines: pipelineCases,
  model: [...modelCases, ...statefulModelCases, ...pipelineModelCases, ...pipelineStormCases],
  streams: streamCases,
  'stream producers': streamProducerCases,
  'stream compaction': streamCompactionCases,
  'stream lifecycle': streamLifecycleCases,
  'streams model': streamModelCases,
  kv: kvCases,
  transactions: transactionCases,
  'kv model': kvModelCases,
}
