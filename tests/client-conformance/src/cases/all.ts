import type { Case } from '../kit.ts'
import { clientCases } from './client.ts'
import { databaseCases } from './databases.ts'
import { kvCases } from './kv.ts'
import { objectCases } from './objects.ts'
import { pipelineCases } from './pipelines.ts'
import { queueCases } from './queues.ts'
import { scheduleCases } from './schedules.ts'
import { schemaCases } from './schemas.ts'
import { stateCases } from './states.ts'
import { streamCases } from './streams.ts'
import { tableCases } from './tables.ts'
import { taskCases } from './tasks.ts'

import { transactionCases } from './transactions.ts'
import { vectorCases } from './vectors.ts'
import { webhookCases } from './webhooks.ts'

/** Everything that a client does, whatever its transport. */
export const cases: readonly Case[] = [
  ...clientCases,
  ...taskCases,
  ...stateCases,
  ...pipelineCases,
  ...queueCases,
  ...kvCases,
  ...objectCases,
  ...databaseCases,
  ...streamCases,
  ...tableCases,
  ...transactionCases,
  ...scheduleCases,
  ...webhookCases,
  ...vectorCases,
  ...schemaCases,
]
