import type { Case } from '../kit.ts'
import { clientCases } from './client.ts'
import { kvCases } from './kv.ts'
import { pipelineCases } from './pipelines.ts'
import { queueCases } from './queues.ts'
import { stateCases } from './states.ts'
import { streamCases } from './streams.ts'
import { taskCases } from './tasks.ts'

/** Everything that a client does, whatever its transport. */
export const cases: readonly Case[] = [
  ...clientCases,
  ...taskCases,
  ...stateCases,
  ...pipelineCases,
  ...queueCases,
  ...kvCases,
  ...streamCases,
]
