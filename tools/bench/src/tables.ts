import { chmodSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Millrace } from '@millrace/client'
import { startPostgres } from '@millrace/dev'
import pg from 'pg'
import { machineFacts, makeDataDir } from './machine.ts'
import { treeCpu } from './process-usage.ts'
import { startRelay } from './relay.ts'
import { median } from './statistics.ts'
import { startMillrace } from './systems/millrace-server.ts'
import { describeMachine } from './table.ts'

const help = `Measures tables against the same Postgres used directly with pg, and through the least server that can stand between: bare
gRPC that hands statements to pg and its rows back as JSON. They take turns. All answer an insert with its rows.

  pnpm bench:tables [--rounds N] [--seconds N] [--at-once N] [--only TEXT] [--sources] [--dir PATH]

  --rounds N   rounds; medians are shown (default 3)
  --seconds N  how long each figure is measured in each round (default 2)
  --at-once N  calls at once, and connections of pg, beside one at a time (default 32)
  --only TEXT  what has this in its title alone
  --sources    Millrace from its TypeScript sources instead of its build
  --dir PATH   where servers keep their data

Postgres is the machine's own.
`

interface Item {
  id: number
  name: string
  email: string
  age: number
  score: number
}
type NewItem = Omit<Item, 'id'>

const definition = 'id serial PRIMARY KEY, name text NOT NULL, email text, age int, score double precision'
/** Rows that are read. */
const rows = 10_000
const page = 500
const batch = 1000
/** How many times as long as pg alone we allow ourselves. */
const goal = 1.5

/** What is measured. */
interface Work {
  readonly title: string
  /** The statement, for pg. */
  readonly statement: (i: number) => [text: string, values: readonly unknown[]]
  readonly millrace: (i: number) => Promise<unknown>
}

function newItem(i: number): NewItem {
  return { name: `name ${i}`, email: `user.${i}@example.com`, age: i % 90, score: i / 7 }
}

function works(mr: Millrace): readonly Work[] {
  const items = mr.table<Item>('items')
  const inserted = mr.table<Item>('inserted')
  const many = Array.from({ length: batch }, (_, i) => newItem(i))
  return [
    {
      title: 'insert a row',
      statement: (i) => {
        const { name, email, age, score } = newItem(i)
        return ['INSERT INTO inserted (name, email, age, score) VALUES ($1, $2, $3, $4) RETURNING *', [name, email, age, score]]
      },
      millrace: (i) => inserted.insert(newItem(i)),
    },
    {
      title: 'select a row by its key',
      statement: (i) => ['SELECT * FROM items WHERE id = $1', [1 + (i % rows)]],
      millrace: (i) =>
        items
          .select()
          .where({ id: 1 + (i % rows) })
          .all(),
    },
    {
      title: `select ${page} rows`,
      statement: (i) => ['SELECT * FROM items WHERE id > $1 ORDER BY id LIMIT $2', [i % (rows - page), page]],
      millrace: (i) =>
        items
          .select()
          .where({ id: { gt: i % (rows - page) } })
          .order('id')
          .limit(page)
          .all(),
    },
    {
      title: `insert ${batch} rows`,
      statement: () => [
        `INSERT INTO inserted (name, email, age, score)
           SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::double precision[]) RETURNING *`,
        [many.map(({ name }) => name), many.map(({ email }) => email), many.map(({ age }) => age), many.map(({ score }) => score)],
      ],
      millrace: () => inserted.insert(many),
    },
  ]
}

/** What calls took, each. */
interface Cost {
  /** Calls a second. */
  readonly perSecond: number
  /** Milliseconds of CPU a call: of processes, and of this one. */
  readonly cpu: readonly number[]
}

async function measure(call: (i: number) => Promise<unknown>, atOnce: number, seconds: number, pids: readonly number[]): Promise<Cost> {
  const used = () => [...pids.map(treeCpu), process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6]
  const before = used()
  const begun = performance.now()
  let calls = 0
  const caller = async () => {
    while (performance.now() - begun < seconds * 1000) await call(calls++)
  }
  await Promise.all(Array.from({ length: atOnce }, caller))
  const perSecond = (calls * 1000) / (performance.now() - begun)
  return { perSecond, cpu: used().map((cpu, i) => ((cpu - before[i]!) * 1000) / calls) }
}

function medianCost(costs: readonly Cost[]): Cost {
  const cpu = costs[0]!.cpu.map((_, i) => median(costs.map((cost) => cost.cpu[i]!)))
  return { perSecond: median(costs.map(({ perSecond }) => perSecond)), cpu }
}

/** The whole, and its parts. */
function cpuParts({ cpu }: Cost): string {
  const all = cpu.reduce((a, b) => a + b, 0)
  return `${all.toFixed(2)}: ${cpu.map((each) => each.toFixed(2)).join(' + ')}`
}

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '2' },
      'at-once': { type: 'string', default: '32' },
      only: { type: 'string', default: '' },
      sources: { type: 'boolean', default: false },
      dir: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(help)
  const [rounds, seconds, atOnce] = [Number(values.rounds), Number(values.seconds), Number(values['at-once'])]
  const parentDir = makeDataDir(values.dir)
  process.once('exit', () => rmSync(parentDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  console.log(describeMachine(machineFacts(parentDir)))
  // Postgres may have to run as another user, who must be let through.
  chmodSync(parentDir, 0o711)
  await using postgres = await startPostgres({ parentDir, settings: { max_connections: String(3 * atOnce + 20) } })
  await using server = await startMillrace({ parentDir, sources: values.sources, args: ['--tables', postgres.url] })
  await using mr = new Millrace({ ...server.address, timeout: '1m' })
  const pool = new pg.Pool({ connectionString: postgres.url, max: atOnce, idleTimeoutMillis: 0 })

  const tables = `CREATE TABLE items (${definition}); CREATE TABLE inserted (${definition});`
  await pool.query(tables)
  await mr.tables.migrate([{ name: '001.sql', sql: tables }])
  const fill = `INSERT INTO items (name, email, age, score)
    SELECT 'name ' || i, 'user.' || i || '@example.com', i % 90, i / 7.0 FROM generate_series(1, ${rows}) i`
  await pool.query(fill)
  await mr.tables.sql(fill)
  await pool.query('VACUUM ANALYZE')

  await using relay = await startRelay({ parentDir, postgres: postgres.url, connections: atOnce })
  const query = (text: string, bound: readonly unknown[]) => pool.query(text, [...bound])
  const ways = (work: Work) => [
    { call: (i: number) => query(...work.statement(i)), pids: [postgres.pid()] },
    { call: (i: number) => relay.query(...work.statement(i)), pids: [postgres.pid(), relay.pid] },
    { call: work.millrace, pids: [postgres.pid(), server.pid] },
  ]
  const all = works(mr).filter(({ title }) => title.includes(values.only))
  for (const work of all) for (const { call, pids } of ways(work)) await measure(call, atOnce, seconds / 4, pids)

  console.log(
    '\n| | at once | pg, calls a second | relay | Millrace | pg ÷ relay | pg ÷ Millrace | CPU, ms a call: pg | relay | Millrace |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|---|')
  for (const work of all) {
    for (const callers of [atOnce, 1]) {
      const costs: Cost[][] = [[], [], []]
      for (let round = 0; round < rounds; round++)
        for (const [i, { call, pids }] of ways(work).entries()) costs[i]!.push(await measure(call, callers, seconds, pids))
      const medians = costs.map(medianCost)
      const [direct, ...others] = medians.map(({ perSecond }) => perSecond)
      const ratios = others.map((each) => `${(direct! / each).toFixed(2)} ×`)
      const cells = [work.title, callers, ...medians.map(({ perSecond }) => Math.round(perSecond)), ...ratios, ...medians.map(cpuParts)]
      console.log(`| ${cells.join(' | ')} |`)
    }
  }
  console.log('\nCPU is that of all processes: Postgres + what is between + this one.')
  console.log(`Our goal is ${goal} ×.`)
  await pool.end()
}

await bench()
