import { parseArgs } from 'node:util'

/** What can be measured, in the order of the table. */
export const phaseNames = ['enqueue-single', 'enqueue-batch', 'process', 'latency', 'claim', 'start'] as const
export type PhaseName = (typeof phaseNames)[number]

/** What the command line asked for. */
export interface BenchOptions {
  readonly phases: readonly PhaseName[]
  readonly rounds: number
  /** Short windows and shallow queues: to see that it runs, not to quote. */
  readonly quick: boolean
  /** Claim also with 10,000,000 waiting. */
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

export const help = `Measures Millrace and BullMQ side by side: the real client and the real server over loopback, everything fsynced.

  pnpm bench [options]

  --only NAME    measure this alone; may be given again. One of: ${phaseNames.join(', ')}
  --rounds N     rounds of each measurement, systems taking turns; medians are shown (default 5, with --quick 1)
  --quick        short rounds and a shallow queue: shows that it runs, not what it can do
  --long         claim also with 10,000,000 waiting jobs (about 10 GB of disk, some minutes)
  --all          BullMQ also with appendfsync everysec
  --alone        Millrace alone
  --sources      Millrace from its TypeScript sources instead of its build
  --dir PATH     where servers keep their data (default: the folder for temporary files, if it is on a disk)
  --json FILE    write the figures and the machine's facts as JSON
  --cpu-prof     write CPU profiles of the Millrace server and client; needs exactly one --only. Read them with: pnpm profile-top FILE
  --help

BullMQ needs a Redis; this starts a private one from the machine's redis-server (apt-get install redis-server).
`

/** Reads the command line; undefined when help was asked for. Throws an error that says which option is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
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
  const phases = (values.only ?? phaseNames).map(phaseName)
  const cpuProf = values['cpu-prof']
  if (cpuProf && (values.only?.length !== 1 || phases[0] === 'start' || phases[0] === 'claim')) {
    throw new Error('--cpu-prof profiles one phase: add --only enqueue-single, enqueue-batch, process or latency')
  }
  return {
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

function phaseName(name: string): PhaseName {
  const known = phaseNames.find((each) => each === name)
  if (known === undefined) throw new Error(`--only ${name}: there is no such measurement; there are: ${phaseNames.join(', ')}`)
  return known
}

function roundCount(text: string | undefined, ifAbsent: number): number {
  const count = text === undefined ? ifAbsent : Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new Error(`--rounds ${text}: must be a whole number from 1 to 100`)
  return count
}
