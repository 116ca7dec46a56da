import { Millrace } from '@millrace/client'
import { expect, onTestFinished, test } from 'vitest'
import { spread } from '../crash/stage.ts'
import { startWorker } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'
import { rawClient, reader } from '../raw/raw.ts'
import { type ClusterNode, needPostgres, startCluster } from './nodes.ts'

needPostgres()

const long = process.env.MILLRACE_LONG === '1'
const rounds = long ? 25 : 3
const namespace = 'failover'
const leaseMs = 2000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

test(`${rounds} times the server in use is killed: its clients and its work go on elsewhere`, {
  timeout: 60_000 + rounds * 10_000,
}, async () => {
  await using cluster = await startCluster({ skews: [0, 0, 0] })
  const { nodes, key } = cluster
  const endpoint = nodes.map(({ server }) => server.endpoint)
  const client = (endpoints: readonly string[]) => {
    const mr = new Millrace({ endpoint: endpoints, apiKey: key, namespace, logger: silent })
    onTestFinished(() => mr.close())
    return mr
  }
  const served: number[] = []
  const working: number[] = []
  const takenOver: number[] = []

  for (let round = 0; round < rounds; round++) {
    const mr = client(endpoint)
    const begun: number[] = []
    const worker = await startWorker(
      mr.worker({ queue: 'q', workerId: `w-${round}`, handler: (job) => void begun.push(Number(job.payload)) }),
    )
    const node = await until('the worker is known', () => find(nodes, key, worker.workerId))
    const others = client(nodes.filter((other) => other !== node).map(({ server }) => server.endpoint))
    const held = await holdJob(node, key, others, `held-${round}`)
    const again = new Promise<number>((resolve) => {
      void startWorker(mr.worker({ queue: `held-${round}`, handler: () => resolve(Date.now()) }))
    })
    await until('a job has run', async () => {
      await others.queue('q').enqueue(Date.now())
      return begun.length > 0
    })

    node.server.child.kill('SIGKILL')
    const killed = Date.now()
    held.close()
    const call = mr
      .queue('elsewhere')
      .enqueue(round)
      .then(() => served.push(Date.now() - killed))
    // Work comes in at the other servers all the time: from when on is it done again?
    const goesOn = async () => {
      await others.queue('q').enqueue(Date.now())
      return begun.some((at) => at >= killed)
    }
    await until('work is done again', goesOn, { every: 5 })
    working.push(Date.now() - killed)
    await call
    takenOver.push((await again) - Math.max(held.leaseEnd, killed))
    await worker.stop()
    await mr.close()
    await node.server.kill()
    await node.server.restart()
  }
  console.log(
    [
      `${rounds} kills of the server in use, from the kill:`,
      `a call of its client answered elsewhere: ${spread(served)}`,
      `its worker does other servers' jobs: ${spread(working)}`,
      `a job of a worker lost with it, in other hands after the end of its lease of ${leaseMs} ms: ${spread(takenOver)}`,
    ].join('\n'),
  )
  expect([served, working, takenOver].map(({ length }) => length)).toEqual([rounds, rounds, rounds])
})

/** The server that a worker's stream leads to. */
async function find(nodes: readonly ClusterNode[], key: string, workerId: string): Promise<ClusterNode> {
  for (const node of nodes) {
    using cluster = rawClient('ClusterService', { endpoint: node.server.endpoint, key, namespace })
    const { workers } = await cluster.call<{ workers: { workerId: string }[] }>('ListWorkers')
    if (workers.some((worker) => worker.workerId === workerId)) return node
  }
  throw new Error(`No server has ${workerId}.`)
}

/** A job in the hands of a worker of this server, who does nothing with it. */
async function holdJob({ server }: ClusterNode, key: string, producer: Millrace, queue: string) {
  const workers = rawClient('WorkerService', { endpoint: server.endpoint, key, namespace })
  const stream = workers.talk('ProcessJobs')
  stream.on('error', () => {})
  stream.write({ subscribe: { queue, leaseMs, maxInFlight: 1 } })
  const messages = reader<{ deliveries?: { jobs: unknown[] } }>(stream)
  await messages.next()
  await producer.queue(queue).enqueue('held')
  await until('the job is delivered', async () => (await messages.next()).deliveries !== undefined)
  const leaseEnd = Date.now() + leaseMs
  return {
    leaseEnd,
    close() {
      stream.cancel()
      workers[Symbol.dispose]()
    },
  }
}
