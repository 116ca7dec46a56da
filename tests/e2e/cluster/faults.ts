import { setTimeout as sleep } from 'node:timers/promises'
import type { Journal } from '../crash/journal.ts'
import type { Random } from '../harness/random.ts'
import type { ClusterNode, TestCluster } from './nodes.ts'

/** What may happen to a server, its networks, or the database. Resolves when all is well again. */
export interface Fault {
  readonly name: string
  /** How often it comes, beside the others. */
  readonly weight: number
  strike(cluster: TestCluster, node: ClusterNode, random: Random): Promise<void>
}

const restart = async ({ server }: ClusterNode, awayMs: number) => {
  await sleep(awayMs)
  await server.restart()
}

/** What happens to one server. */
export const nodeFaults: readonly Fault[] = [
  {
    name: 'killed',
    weight: 4,
    async strike(_cluster, node, random) {
      await node.server.kill()
      await restart(node, random.int(0, 1500))
    },
  },
  {
    name: 'asked to stop',
    weight: 2,
    async strike(_cluster, node, random) {
      const { code, signal } = await node.server.stop()
      if (code !== 0) throw new Error(`${node.name} ended with ${signal ?? code} when it was asked to stop:\n${node.server.log}`)
      await restart(node, random.int(0, 500))
    },
  },
  {
    name: 'paused',
    weight: 1,
    async strike(_cluster, { server }, random) {
      server.child.kill('SIGSTOP')
      await sleep(random.int(500, 4000))
      server.child.kill('SIGCONT')
    },
  },
  {
    name: 'cut off from its clients',
    weight: 2,
    async strike(_cluster, { fromClients }, random) {
      fromClients.refuse()
      await sleep(random.int(0, 1500))
      fromClients.heal()
    },
  },
  {
    name: 'silent to its clients',
    weight: 1,
    async strike(_cluster, { fromClients }, random) {
      fromClients.silence()
      await sleep(random.int(500, 4000))
      fromClients.heal({ late: random.next() < 0.5 })
    },
  },
  {
    name: 'cut off from Postgres',
    weight: 2,
    async strike(_cluster, { toPostgres }, random) {
      toPostgres.refuse()
      await sleep(random.int(0, 3000))
      toPostgres.heal()
    },
  },
  {
    name: 'silent to Postgres',
    weight: 1,
    async strike(_cluster, { toPostgres }, random) {
      toPostgres.silence()
      await sleep(random.int(500, 4000))
      toPostgres.heal({ late: random.next() < 0.5 })
    },
  },
]

/** What happens to the database, and so to all. */
export const postgresFaults: readonly Fault[] = (['fast', 'immediate'] as const).map((how) => ({
  name: `restarted (${how})`,
  weight: 1,
  async strike({ postgres }, _node, random) {
    await postgres.halt(how)
    await sleep(random.int(0, 1000))
    await postgres.start()
  },
}))

/** Lets a fault strike, and writes down from when to when. */
export async function strike(fault: Fault, subject: string, cluster: TestCluster, node: ClusterNode, random: Random, journal: Journal) {
  const what = `${subject} ${fault.name}`
  journal.write({ type: 'fault', what })
  await fault.strike(cluster, node, random)
  journal.write({ type: 'healed', what })
}
