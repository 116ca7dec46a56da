import { parseArgs } from 'node:util'

/** What can be measured over each store, in the order of the table. */
export const phaseNames = {
  sqlite: ['enqueue-single', 'enqueue-batch', 'process', 'latency', 'claim', 'start', 'sse', 'flow'],
  postgres: ['enqueue-single', 'enqueue-batch', 'process', 'latency', 'nodes', 'claim', 'size'],
} as const
export type StoreName = keyof typeof phaseNames
export type PhaseName = (typeof phaseNames)[StoreName][number]

/** What the command line asked for. */
export interface BenchOptions {
  /** What Millrace keeps its jobs in; it decides who its peers are. */
  readonly store: StoreName
  readonly phases: readonly PhaseName[]
  readonly rounds: number
  /** Short windows and shallow queues: to see that it runs, not to quote. */
  readonly quick: boolean
  /** Claim also with 10,000,000 waiting; 10,000,000 jobs through the small queue. */
  readonly long: boolean
  /** BullMQ also with `appendfsync everysec`. */
  readonly all: boolean
  /** Millrace alone. */
  readonly alone: boolean
  /** Millrace from its sources instead of its build. */
  readonly sources: boolean
  readonly cpuProf: boolean
  /** Where to write the figures as JSON. */
  readonly json?: string
  /** Where servers keep their data. */
  readonly dir?: string
}

export const help = `Measures Millrace and its peers side by side: the real client and the real server over loopback, everything fsynced.

  pnpm bench [options]

  --store NAME   sqlite (default): beside BullMQ. postgres: Millrace, pg-boss and graphile-worker over the same Postgres
  --only NAME    measure this alone; may be given again. One of: ${phaseNames.sqlite.join(', ')};
                 of Postgres: ${phaseNames.postgres.join(', ')}
  --rounds N     rounds of each measurement, systems taking turns; medians are shown (default 5, with --quick 1)
  --quick        short rounds and a shallow queue: shows that it runs, not what it can do
  --long         claim also with 10,000,000 waiting jobs (about 10 GB of disk, some minutes); of Postgres also 10,000,000 jobs
                 through a small queue (half an hour)
  --all          BullMQ also with appendfsync everysec
  --alone        Millrace alone
  --sources      Millrace from its TypeScript sources instead of its build
  --dir PATH     where servers keep their data (default: the folder for temporary files, if it is on a disk)
  --json FILE    write the figures and the machine's facts as JSON
  --cpu-prof     write CPU profiles of the Millrace server and client, and Postgres's slowest statements; needs exactly one --only.
                 Read profiles with: pnpm profile-top FILE
  --help

BullMQ needs a Redis; this starts a private one from the machine's redis-server (apt-get install redis-server). For Postgres it
starts the machine's (apt-get install postgresql) on an empty folder with the settings it comes with.
`

/** Reads the command line; undefined when help was asked for. Throws an error that says which option is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      store: { type: 'string', default: 'sqlite' },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      alone: { type: 'boolean', default: false },
      sources: { type: 'boolean', default: false },
      dir: { type: 'string' },
      json: { type: 'string' },
      'cpu-prof': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  const store = storeName(values.store)
  const phases = (values.only ?? phaseNames[store]).map((name) => phaseName(store, name))
  const cpuProf = values['cpu-prof']
  if (cpuProf && (values.only?.length !== 1 || !['enqueue-single', 'enqueue-batch', 'process', 'latency'].includes(phases[0]!))) {
    throw new Error('--cpu-prof profiles one phase: add --only enqueue-single, enqueue-batch, process or latency')
  }
  return {
    store,
    phases,
    rounds: cpuProf ? 1 : roundCount(values.rounds, values.quick ? 1 : 5),
    quick: values.quick,
    long: values.long,
    all: values.all,
    alone: values.alone || cpuProf,
    sources: values.sources,
    cpuProf,
    json: values.json,
    dir: values.dir,
  }
}

function storeName(name: string): StoreName {
  if (name === 'sqlite' || name === 'postgres') return name
  throw new Error(`--store ${name}: must be sqlite or postgres`)
}

function phaseName(store: StoreName, name: string): PhaseName {
  const known = phaseNames[store].find((each) => each === name)
  if (known === undefined) throw new Error(`--only ${name}: there is no such measurement; there are: ${phaseNames[store].join(', ')}`)
  return known
}

function roundCount(text: string | undefined, ifAbsent: number): number {
  const count = text === undefined ? ifAbsent : Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new Error(`--rounds ${text}: must be a whole number from 1 to 100`)
  return count
}
