import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { Millrace } from '@millrace/client'
import { machineFacts, makeDataDir } from './machine.ts'
import { startRelay } from './relay.ts'
import { median } from './statistics.ts'
import { startMillrace } from './systems/millrace-server.ts'
import { describeMachine } from './table.ts'

const help = `Measures analytics: queries through the client and the server beside DuckDB in this process, over the same rows.

  pnpm bench:analytics [--rows N] [--rounds N] [--sources] [--dir PATH]

  --rows N    rows of the table (default 5000000)
  --rounds N  rounds; medians are shown (default 5), of small results over ten times as many
  --warm N    small queries before (default 1000)
  --sources   Millrace from its TypeScript sources instead of its build
  --dir PATH  where servers keep their data
`

const threads = 2
const aggregate = 'SELECT city, count(*) AS orders, sum(cents) AS cents, avg(weight) AS weight FROM orders GROUP BY city'
const topTen = `${aggregate} ORDER BY cents DESC LIMIT 10`
const byCity = `${aggregate} ORDER BY city`

/** What makes the table: the same rows each time. */
const fill = (rows: number) => `CREATE TABLE orders AS
  SELECT range AS id, 'city ' || (range * 7919 % 1000) AS city, (range * 104729 % 100000)::INTEGER AS cents, (range % 997) / 7 AS weight
  FROM range(${rows})`

async function time(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '5000000' },
      rounds: { type: 'string', default: '5' },
      warm: { type: 'string', default: '1000' },
      sources: { type: 'boolean', default: false },
      dir: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(help)
  const [rows, rounds] = [Number(values.rows), Number(values.rounds)]
  const parentDir = makeDataDir(values.dir)
  process.once('exit', () => rmSync(parentDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  console.log(describeMachine(machineFacts(parentDir)))
  await using server = await startMillrace({ parentDir, sources: values.sources, args: ['--analytics-threads', String(threads)] })
  await using mr = new Millrace({ ...server.address, timeout: '5m' })
  const database = mr.database('bench')
  await database.create()
  await database.execute(fill(rows))
  await using relay = await startRelay({ parentDir })
  const instance = await DuckDBInstance.create(`${parentDir}/direct.duckdb`, { threads: String(threads) })
  const direct = await instance.connect()
  await direct.run(fill(rows))

  const drain = async (stream: AsyncIterable<{ readonly length?: number }>) => {
    let count = 0
    for await (const each of stream) count += each.length ?? 1
    if (count !== rows) throw new Error(`${count} rows came, not ${rows}`)
  }
  const all = 'SELECT id, city, cents, weight FROM orders'
  type Phase = readonly [name: string, work: () => Promise<unknown>]
  const times = new Map<string, number[]>()
  const measure = async (phases: readonly Phase[], count: number) => {
    for (let round = -1; round < count; round++) {
      for (const [name, work] of phases) {
        const ms = await time(work)
        // The first round warms up.
        if (round >= 0) times.set(name, [...(times.get(name) ?? []), ms])
      }
    }
  }
  const directly = async (sql: string) => (await direct.runAndReadAll(sql)).getRowObjects()
  const small: readonly Phase[] = [
    ['aggregate to 10 rows, through the client', () => database.query(topTen)],
    ['aggregate to 10 rows, DuckDB directly', () => directly(topTen)],
    ['aggregate to 1,000 rows, through the client', () => database.query(byCity)],
    ['aggregate to 1,000 rows, DuckDB directly', () => directly(byCity)],
    ['SELECT 1, through the client', () => database.query('SELECT 1')],
    ['aggregate to 1,000 rows, DuckDB directly, once more', () => directly(byCity)],
    ['an empty call of bare gRPC, then', () => relay.query('', [])],
  ]
  const large: readonly Phase[] = [
    ['every row of one column, in batches', () => drain(database.queryBatches('SELECT id FROM orders'))],
    ['every row of four columns, in batches', () => drain(database.queryBatches(all))],
    ['every row of four columns, one by one', () => drain(database.queryStream(all) as AsyncIterable<object>)],
  ]
  // As in a service that has answered some queries: with what is compiled when it runs often. The streams leave much to collect, and
  // so come last.
  const few = byCity.replace('FROM orders', 'FROM (FROM orders LIMIT 2000)')
  for (let i = 0; i < Number(values.warm); i++) {
    await database.query(few)
    await relay.query('', [])
    await directly(few)
  }
  await measure(small, rounds * 10)
  await measure(large, rounds)
  console.log(`\n${rows.toLocaleString('en')} rows, ${threads} threads, medians of ${rounds} rounds\n\n| | |\n|---|---|`)
  for (const [name] of [...small, ...large]) {
    const ms = median(times.get(name)!)
    const rate = name.startsWith('every row') ? `, ${Math.round(rows / ms)} k rows/s` : ''
    console.log(`| ${name} | ${ms.toFixed(1)} ms${rate} |`)
  }
  for (const result of ['10 rows', '1,000 rows']) {
    const of = (how: string) => median(times.get(`aggregate to ${result}, ${how}`)!)
    const ratio = of('through the client') / of('DuckDB directly')
    console.log(`| aggregate to ${result}, client against directly | ${ratio.toFixed(2)} × (goal ≤ 1.15) |`)
  }
  direct.closeSync()
}

await bench()
