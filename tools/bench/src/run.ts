import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Redis, type ServiceProcess, startRedis } from '@millrace/dev'
import { type DriverOrder, drive } from './driver-order.ts'
import { flow } from './flow.ts'
import type { BenchOptions, PhaseName } from './options.ts'
import { processUsage } from './process-usage.ts'
import { Samples, type SystemName } from './samples.ts'
import type { Sizes } from './sizes.ts'
import { sse } from './sse.ts'
import { type MillraceServer, sourceOptions, startMillrace } from './systems/millrace-server.ts'

/** What a run needs beside the options. */
export interface RunContext {
  readonly options: BenchOptions
  readonly sizes: Sizes
  /** Folder on a disk for everything the servers keep. */
  readonly dir: string
  /** Where CPU profiles go. */
  readonly profileDir: string
  /** Tells what is being done. */
  progress(text: string): void
}

/** Which systems take part. */
function systemsOf(options: BenchOptions): SystemName[] {
  if (options.alone) return ['millrace']
  return options.all ? ['millrace', 'bullmq-always', 'bullmq-everysec'] : ['millrace', 'bullmq-always']
}

/** Measures all that was asked for. Every round has a fresh server and a fresh client, and systems take turns. */
export async function run(context: RunContext): Promise<Samples> {
  const samples = new Samples()
  for (const phase of context.options.phases) {
    if (phase === 'claim') {
      context.progress(`claim: filling queues with ${context.sizes.claimDepths.map((depth) => depth.toLocaleString('en')).join(', ')} jobs`)
      await claimRounds(context, samples)
      continue
    }
    if (phase === 'sse') {
      await sseRounds(context, samples)
      continue
    }
    if (phase === 'flow') {
      await flowRounds(context, samples)
      continue
    }
    for (let round = 1; round <= context.options.rounds; round++) {
      for (const system of systemsOf(context.options)) {
        context.progress(`${phase}: round ${round} of ${context.options.rounds}, ${system}`)
        if (phase === 'start') await startRound(context, system, samples)
        else await driveRound(context, phase, system, samples)
      }
    }
  }
  return samples
}

async function driveRound(context: RunContext, phase: PhaseName, system: SystemName, samples: Samples): Promise<void> {
  await using server = await startServer(context, system, phase)
  const profileFile = context.options.cpuProf ? join(context.profileDir, `${phase}-client.cpuprofile`) : undefined
  const work = { phase, sizes: context.sizes, rounds: 1, profileFile }
  for (const result of await drive(orderFor(server, work), nodeOptions(context))) samples.add(system, phase, result)
}

/** Others have nothing of the kind. */
async function sseRounds(context: RunContext, samples: Samples): Promise<void> {
  const { options, sizes, dir } = context
  for (let round = 1; round <= options.rounds; round++) {
    context.progress(`sse: round ${round} of ${options.rounds}, ${sizes.subscribers.toLocaleString('en')} readers`)
    await using server = await startMillrace({ parentDir: dir, sources: options.sources })
    samples.add('millrace', 'sse', await sse(server, sizes))
  }
}

/** Others have nothing of the kind. */
async function flowRounds(context: RunContext, samples: Samples): Promise<void> {
  const { options, sizes, dir } = context
  for (let round = 1; round <= options.rounds; round++) {
    context.progress(`flow: round ${round} of ${options.rounds}`)
    await using server = await startMillrace({ parentDir: dir, sources: options.sources })
    samples.add('millrace', 'flow', await flow(server, sizes))
  }
}

async function claimRounds(context: RunContext, samples: Samples): Promise<void> {
  const { options, sizes, dir } = context
  await using stack = new AsyncDisposableStack()
  const servers: MillraceServer[] = []
  for (const depth of sizes.claimDepths) {
    servers.push(stack.use(await startMillrace({ parentDir: dir, dataDir: join(dir, `claim-${depth}`), sources: options.sources })))
  }
  const order: DriverOrder = { system: 'millrace', phase: 'claim', sizes, rounds: options.rounds, servers }
  for (const result of await drive(order, nodeOptions(context))) samples.add('millrace', 'claim', result)
  for (const [i, depth] of sizes.claimDepths.entries()) {
    const rss = { name: `rss-${depth}`, value: processUsage(servers[i]!.pid).rss }
    await servers[i]!.stop()
    const start = performance.now()
    await using again = await startMillrace({ parentDir: dir, dataDir: join(dir, `claim-${depth}`), sources: options.sources })
    await accepts(again)
    samples.add('millrace', 'claim', { figures: [rss, { name: `start-${depth}`, value: performance.now() - start }], problems: [] })
  }
}

/** From the start of the process until it says that it is ready and takes a connection; then its memory after a second of rest. */
async function startRound(context: RunContext, system: SystemName, samples: Samples): Promise<void> {
  const start = performance.now()
  await using server = await startServer(context, system, 'start')
  await accepts(server)
  const ready = performance.now() - start
  await sleep(1000)
  const figures = [
    { name: 'start', value: ready },
    { name: 'rss-idle', value: processUsage(server.pid).rss },
  ]
  samples.add(system, 'start', { figures, problems: [] })
}

function startServer(context: RunContext, system: SystemName, phase: PhaseName): Promise<MillraceServer | Redis> {
  if (system !== 'millrace') {
    return startRedis({ appendfsync: system === 'bullmq-always' ? 'always' : 'everysec', parentDir: context.dir })
  }
  const profileFile = context.options.cpuProf ? join(context.profileDir, `${phase}-server.cpuprofile`) : undefined
  return startMillrace({ parentDir: context.dir, sources: context.options.sources, profileFile })
}

function orderFor(server: MillraceServer | Redis, work: Pick<DriverOrder, 'phase' | 'sizes' | 'rounds' | 'profileFile'>): DriverOrder {
  return 'address' in server
    ? { ...work, system: 'millrace', servers: [{ pid: server.pid, address: server.address }] }
    : { ...work, system: 'bullmq', servers: [{ pid: server.pid, address: { host: server.host, port: server.port } }] }
}

function nodeOptions(context: RunContext): readonly string[] {
  return context.options.sources ? sourceOptions : []
}

async function accepts(server: (MillraceServer | Redis) & ServiceProcess): Promise<void> {
  const [host = '', port = ''] = 'address' in server ? server.address.endpoint.split(':') : [server.host, String(server.port)]
  const socket = connect(Number(port), host)
  await once(socket, 'connect')
  socket.destroy()
}
