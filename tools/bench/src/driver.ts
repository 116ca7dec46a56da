// The client's process: one measurement of one system, then it ends. Its order is its one argument, its answer one message.
import type { DriverOrder } from './driver-order.ts'
import { claim } from './phases/claim.ts'
import { enqueueBatch, enqueueSingle } from './phases/enqueue.ts'
import { latency } from './phases/latency.ts'
import { nodes } from './phases/nodes.ts'
import type { PhaseContext, PhaseResult } from './phases/phase.ts'
import { processJobs } from './phases/process.ts'
import { size } from './phases/size.ts'
import type { SystemClient } from './systems/client.ts'
import { measureAgainst } from './window.ts'

const phases: Record<string, (context: PhaseContext) => Promise<PhaseResult>> = {
  'enqueue-single': enqueueSingle,
  'enqueue-batch': enqueueBatch,
  process: processJobs,
  latency,
}

async function connect(order: DriverOrder): Promise<SystemClient[]> {
  if (order.system === 'bullmq') {
    const { bullmqClient } = await import('./systems/bullmq-client.ts')
    return order.servers.map(({ address }) => bullmqClient(address))
  }
  if (order.system === 'pg-boss') {
    const { pgBossClient } = await import('./systems/pg-boss-client.ts')
    return Promise.all(order.servers.map(({ address }) => pgBossClient(address, order.batches)))
  }
  if (order.system === 'graphile-worker') {
    const { graphileWorkerClient } = await import('./systems/graphile-worker-client.ts')
    return Promise.all(order.servers.map(({ address }) => graphileWorkerClient(address, order.batches)))
  }
  const { millraceClient } = await import('./systems/millrace-client.ts')
  return order.servers.map(({ address }) => millraceClient(address))
}

async function carryOut(order: DriverOrder): Promise<PhaseResult[]> {
  const clients = await connect(order)
  try {
    if (order.phase === 'claim') return await claim(clients, order.sizes, order.rounds)
    const { servers, database, sizes, profileFile } = order
    const measure = measureAgainst({ servers: servers.flatMap(({ pid }) => pid ?? []), database: database?.pid }, profileFile)
    if (order.phase === 'nodes') return [await nodes(clients, sizes, measure)]
    if (order.phase === 'size') return [await size({ client: clients[0]!, sizes, measure }, database!)]
    return [await phases[order.phase]!({ client: clients[0]!, sizes, measure })]
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}

process.once('disconnect', () => process.exit(1)) // the bench was interrupted
const results = await carryOut(JSON.parse(process.argv[2]!) as DriverOrder)
process.send!(results, () => process.exit(0))
