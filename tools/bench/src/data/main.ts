import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { natsVersion, redisVersion } from '@millrace/dev'
import { machineFacts, makeDataDir } from '../machine.ts'
import { median } from '../statistics.ts'
import { describeMachine } from '../table.ts'
import { type DataFigures, type DataSizes, measureData } from './measure.ts'
import { millraceData } from './millrace.ts'
import { natsData } from './nats.ts'
import { measureOffsets } from './offsets.ts'
import { redisData } from './redis.ts'

const help = `Measures streams, and keys and values, of Millrace, Redis and NATS side by side, taking turns.

  pnpm bench:data [--rounds N] [--quick] [--alone] [--sources] [--dir PATH]
  pnpm bench:data --offsets [--messages N] [--store URL] [--sources] [--dir PATH]

  --rounds N  rounds; medians are shown (default 3)
  --quick     a tenth of the work: shows that it runs, not what it can do
  --alone     Millrace alone
  --sources   Millrace from its TypeScript sources instead of its build
  --dir PATH  where servers keep their data
  --offsets   instead: what a read costs at the beginning and at the end of a partition
  --messages N  how long that partition is (default 10,000,000; 1,000,000 with --quick)
  --store URL   over this Postgres instead of SQLite

Redis and NATS are the machine's own: apt-get install redis-server nats-server
`

const rows: readonly (readonly [title: string, figure: keyof DataFigures, unit: 'k/s' | 'ms', goal: string])[] = [
  ['write to a stream, 256 single calls at once', 'write', 'k/s', '≥ 60 k/s'],
  ['write to a stream, 500 a call, 4 at once', 'writeMany', 'k/s', '≥ 200 k/s'],
  ['read a stream from its beginning', 'read', 'k/s', '≥ 200 k/s'],
  ['from write to subscriber, p50', 'deliveryP50', 'ms', '≤ 1.5 ms'],
  ['from write to subscriber, p99', 'deliveryP99', 'ms', ''],
  ['set keys, 256 single calls at once', 'set', 'k/s', '≥ 60 k/s'],
  ['get keys, 256 single calls at once', 'get', 'k/s', '≥ 80 k/s'],
  ['transactions of a message, a key and a job, 64 at once', 'transact', 'k/s', ''],
]

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      quick: { type: 'boolean', default: false },
      alone: { type: 'boolean', default: false },
      sources: { type: 'boolean', default: false },
      dir: { type: 'string' },
      offsets: { type: 'boolean', default: false },
      messages: { type: 'string' },
      store: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(help)
  const parentDir = makeDataDir(values.dir)
  process.once('exit', () => rmSync(parentDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  console.log(describeMachine(machineFacts(parentDir)))
  if (values.offsets) {
    const messages = Number(values.messages ?? (values.quick ? 1_000_000 : 10_000_000))
    const found = await measureOffsets({ parentDir, sources: values.sources, store: values.store, messages })
    for (const { offset, p50, p99 } of found) {
      console.log(`read of 100 from offset ${offset} on: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
    }
    return
  }
  if (!values.alone)
    console.log(`Redis ${redisVersion()}, appendfsync always; NATS ${natsVersion()}, file storage, synced every two minutes`)
  const full: DataSizes = { payloadBytes: 200, singles: 100_000, batched: 400_000, deliveries: 1000 }
  const sizes = values.quick ? { ...full, singles: 10_000, batched: 40_000, deliveries: 200 } : full
  const starts = [() => millraceData({ parentDir, sources: values.sources }), () => redisData(parentDir), () => natsData(parentDir)]
  const found = new Map<string, DataFigures[]>()
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const start of values.alone ? starts.slice(0, 1) : starts) {
      await using system = await start()
      const figures = await measureData(system, `bench-${round}`, sizes)
      found.set(system.title, [...(found.get(system.title) ?? []), figures])
      console.error(`  round ${round + 1}: ${system.title}`)
    }
  }
  const titles = [...found.keys()]
  console.log(`\n200-byte payloads, medians of ${values.rounds} rounds${values.quick ? ' (quick: not to be quoted)' : ''}\n`)
  console.log(`| | ${titles.join(' | ')} | our goal |\n|---|${titles.map(() => '---|').join('')}---|`)
  for (const [title, figure, unit, goal] of rows) {
    const cells = titles.map((system) => show(median(found.get(system)!.map((figures) => figures[figure])), unit))
    console.log(`| ${title} | ${cells.join(' | ')} | ${goal} |`)
  }
}

function show(value: number, unit: 'k/s' | 'ms'): string {
  if (Number.isNaN(value)) return '–'
  return unit === 'ms' ? `${value.toFixed(2)} ms` : `${(value / 1000).toFixed(1)} k/s`
}

await bench()
