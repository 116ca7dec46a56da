import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DriverOrder, drive } from './driver-order.ts'
import type { PhaseName } from './options.ts'
import type { RunContext } from './run.ts'
import { Samples } from './samples.ts'
import { type DatabaseAddress, type DatabaseServer, startDatabaseServer } from './systems/database.ts'
import { type MillraceServer, sourceOptions, startMillrace } from './systems/millrace-server.ts'

const systems = ['millrace', 'pg-boss', 'graphile-worker'] as const
/** Peers that take and complete many jobs at once, where that makes a difference. */
const batching = { 'pg-boss-batches': 'pg-boss', 'graphile-batches': 'graphile-worker' } as const

/** So that ended jobs go while `--long` runs. */
const shortRetention = ['--retention-completed', '1m', '--retention-requests', '1m']

/** Measures all that was asked for over one private Postgres. Every round has a fresh database, servers and client, and systems take turns. */
export async function runOnPostgres(context: RunContext): Promise<Samples> {
  const { options, sizes, progress } = context
  const samples = new Samples()
  await using server = await startDatabaseServer(context.dir, options.cpuProf)
  for (const phase of options.phases) {
    if (phase === 'claim') {
      progress(`claim: filling queues with ${sizes.claimDepths.map((depth) => depth.toLocaleString('en')).join(', ')} jobs`)
      await claimRounds(context, server, samples)
      continue
    }
    for (let round = 1; round <= (phase === 'size' ? 1 : options.rounds); round++) {
      for (const { system, nodes } of contendersOf(context, phase)) {
        progress(`${phase}: round ${round} of ${options.rounds}, ${nodes === undefined ? system : `${nodes} servers`}`)
        await using database = await server.create()
        await using stack = new AsyncDisposableStack()
        const work = { phase, sizes, rounds: 1, database: addressOf(database), profileFile: profileFile(context, phase, 'client') }
        const order: DriverOrder =
          system === 'millrace'
            ? { ...work, system, servers: await startServers(context, stack, phase, database, nodes ?? 1) }
            : { ...work, ...peerOf(system), servers: [{ address: addressOf(database) }] }
        for (const result of await drive(order, nodeOptions(context))) samples.add(system, phase, result)
      }
    }
  }
  if (options.cpuProf) writeFileSync(join(context.profileDir, `${options.phases[0]}-statements.txt`), await server.slowest())
  return samples
}

type Peer = Exclude<(typeof systems)[number], 'millrace'>

function peerOf(system: Peer | keyof typeof batching): { readonly system: Peer; readonly batches: boolean } {
  return system in batching
    ? { system: batching[system as keyof typeof batching], batches: true }
    : { system: system as Peer, batches: false }
}

/** Who takes turns in a phase. */
function contendersOf({ options, sizes }: RunContext, phase: PhaseName) {
  if (phase === 'nodes') return sizes.nodes.map((nodes) => ({ system: 'millrace' as const, nodes }))
  const names = phase === 'process' ? [...systems, ...(Object.keys(batching) as (keyof typeof batching)[])] : systems
  const taking = options.alone || phase === 'size' ? (['millrace'] as const) : names
  return taking.map((system) => ({ system, nodes: undefined }))
}

async function startServers(
  context: RunContext,
  stack: AsyncDisposableStack,
  phase: PhaseName,
  { url }: DatabaseAddress,
  nodes: number,
): Promise<MillraceServer[]> {
  const servers: MillraceServer[] = []
  for (let i = 0; i < nodes; i++) {
    const { dir, options } = context
    const args = phase === 'size' ? shortRetention : []
    const server = startMillrace({
      parentDir: dir,
      sources: options.sources,
      store: url,
      args,
      profileFile: profileFile(context, phase, 'server'),
    })
    servers.push(stack.use(await server))
  }
  return servers
}

/** A database and a server for each depth. */
async function claimRounds(context: RunContext, server: DatabaseServer, samples: Samples): Promise<void> {
  const { options, sizes } = context
  await using stack = new AsyncDisposableStack()
  const servers: MillraceServer[] = []
  for (const _ of sizes.claimDepths) {
    const database = stack.use(await server.create())
    servers.push(...(await startServers(context, stack, 'claim', database, 1)))
  }
  const order: DriverOrder = { system: 'millrace', phase: 'claim', sizes, rounds: options.rounds, servers }
  for (const result of await drive(order, nodeOptions(context))) samples.add('millrace', 'claim', result)
}

function addressOf({ url, pid }: DatabaseAddress): DatabaseAddress {
  return { url, pid }
}

function profileFile({ options, profileDir }: RunContext, phase: PhaseName, side: string): string | undefined {
  return options.cpuProf ? join(profileDir, `${phase}-${side}.cpuprofile`) : undefined
}

function nodeOptions({ options }: RunContext): readonly string[] {
  return options.sources ? sourceOptions : []
}
