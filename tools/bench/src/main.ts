import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { machineFacts, makeDataDir, peerVersions } from './machine.ts'
import { type BenchOptions, help, parseOptions } from './options.ts'
import { rowsOf } from './rows.ts'
import { run } from './run.ts'
import { runOnPostgres } from './run-postgres.ts'
import { sizesFor } from './sizes.ts'
import { describeMachine, drawTable } from './table.ts'

/** Share of a core that others may use before the figures mean little. */
const tolerableNoise = 0.1

/** Measures and prints; resolves with the exit code: 1 when a figure is void. */
async function bench(options: BenchOptions): Promise<number> {
  const sizes = sizesFor(options)
  const dir = makeDataDir(options.dir)
  // Also when interrupted; servers end by themselves when this process does.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const profileDir = fileURLToPath(new URL('../profiles', import.meta.url))
  if (options.cpuProf) mkdirSync(profileDir, { recursive: true })
  const machine = machineFacts(dir)
  const peers = options.alone ? undefined : peerVersions(options.store)
  console.log(describeMachine(machine))
  if (peers !== undefined) console.log(peers)
  const context = { options, sizes, dir, profileDir, progress: (text: string) => console.error(`  ${text}`) }
  const samples = options.store === 'postgres' ? await runOnPostgres(context) : await run(context)
  const rows = rowsOf(samples, sizes, options.store)
  const rounds = options.rounds === 1 ? 'one round' : `medians of ${options.rounds} rounds`
  console.log(
    `\n${sizes.payloadBytes}-byte payloads, ${rounds}${options.quick ? ' (quick: not to be quoted)' : ''}; CPU: ${options.store === 'postgres' ? 'server/Postgres/client' : 'server/client'}, of one core\n`,
  )
  console.log(drawTable(rows))
  const noise = samples.noise()
  if (noise > tolerableNoise) {
    console.log(`\nOther processes, or the host, used up to ${Math.round(noise * 100)} % of a core meanwhile: not to be quoted.`)
  }
  for (const problem of samples.problems) console.log(`VOID ${problem}`)
  if (options.cpuProf) console.log(`\nProfiles are in ${profileDir}; read one with: pnpm profile-top FILE`)
  if (options.json !== undefined) {
    writeFileSync(
      resolve(process.env.INIT_CWD ?? '.', options.json),
      `${JSON.stringify({ machine, peers, options, sizes, rows, noise, problems: samples.problems }, null, 2)}\n`,
    )
  }
  return samples.problems.length === 0 ? 0 : 1
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) console.log(help)
  else process.exitCode = await bench(options)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
