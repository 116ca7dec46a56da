import type { Sizes } from '../sizes.ts'
import { percentile } from '../statistics.ts'
import type { SystemClient } from '../systems/client.ts'
import { fill } from './fill.ts'
import type { Figure, PhaseResult } from './phase.ts'

/**
 * Claims from queues of several depths, each in a server of its own, in turns: a batch at a time and one at a time.
 * What is claimed is completed and replaced outside the clock, so that each queue keeps its depth. One result a round.
 */
export async function claim(clients: readonly SystemClient[], sizes: Sizes, rounds: number): Promise<PhaseResult[]> {
  for (const [i, client] of clients.entries()) await fill(client, 'bench', sizes.claimDepths[i]!, sizes)
  await claimRound(clients, { ...sizes, claims: Math.ceil(sizes.claims / 4) })
  const results: PhaseResult[] = []
  for (let round = 0; round < rounds; round++) results.push(await claimRound(clients, sizes))
  return results
}

async function claimRound(clients: readonly SystemClient[], sizes: Sizes): Promise<PhaseResult> {
  const figures: Figure[] = []
  const kinds = [
    { name: 'claim-batch', max: sizes.claimBatch },
    { name: 'claim-one', max: 1 },
  ]
  for (const { name, max } of kinds) {
    const times: number[][] = clients.map(() => [])
    for (let i = 0; i < sizes.claims; i++) {
      for (const [which, client] of clients.entries()) times[which]!.push(await claimAndReplace(client, max, sizes))
    }
    for (const [which, depth] of sizes.claimDepths.entries())
      figures.push({ name: `${name}-${depth}`, value: percentile(times[which]!, 0.5) })
  }
  const problems: string[] = []
  for (const [which, depth] of sizes.claimDepths.entries()) {
    const { waiting } = await clients[which]!.counts('bench')
    if (waiting !== depth) problems.push(`${waiting} jobs wait where ${depth} should`)
  }
  return { figures, problems }
}

/** Milliseconds of the claim alone. */
async function claimAndReplace(client: SystemClient, max: number, sizes: Sizes): Promise<number> {
  const start = performance.now()
  const claimed = await client.receive!('bench', max)
  const time = performance.now() - start
  if (claimed.count !== max) throw new Error(`a claim of ${max} jobs got ${claimed.count}`)
  await claimed.complete()
  await fill(client, 'bench', max, sizes)
  return time
}
