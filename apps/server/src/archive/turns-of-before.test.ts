import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../test/harness.ts'
import type { Store } from '../store/ports.ts'
import { openPostgresStore } from '../store/postgres/open.ts'
import { beginning, migrations as postgresSteps } from '../store/postgres/schema.ts'
import { openTestServer, sql } from '../store/postgres/test-database.ts'
import { type Row, type Section, type StoreArchive, sections, type Value } from '../store/sections.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import { migrations as sqliteSteps } from '../store/sqlite/schema.ts'
import { storeTools } from '../stores.ts'
import { exportStore } from './export.ts'
import { importStore } from './import.ts'
import { testNow, testOptions } from './test-content.ts'

const postgres = await openTestServer()

/** The version of the schema before jobs with fair keys could have limits. */
const before = 22
const gate = 'fair default q '
/** A round is full of one key's jobs; more of them wait, and those of others. */
const keys = [...Array.from({ length: 90 }, () => 'large'), 'small', 'tiny', 'small']
const jobs = keys.map((key, i) => ({ seq: 1000 + i, key, priority: i === 92 ? 5 : 0, inRound: i < 32 }))

type Record = { readonly [column: string]: Value }

/** What a server of that version kept of them, by the names of sections. */
const records: { readonly [section: string]: readonly Record[] } = {
  tenants: [{ tenant: 1, name: 'one', created_at: testNow }],
  queues: [{ tenant: 1, queue: 1, namespace: 'default', name: 'q', max_depth: 0, paused: false, created_at: testNow }],
  lanes: [{ tenant: 1, lane: 1, queue: 1, function: '', ...counts({ pending: 32, blocked: jobs.length - 32, total: jobs.length }) }],
  jobs: jobs.map(({ seq, key, priority, inRound }) => ({
    ...{ tenant: 1, seq, lane: 1, state: inRound ? 2 : 3, priority, attempts: 0, max_attempts: 3, revision: 1, timeout_ms: 0 },
    ...{ created_at: testNow, updated_at: testNow, labels: JSON.stringify({ key }), payload: new Uint8Array(), flow: 5 },
  })),
  flows: jobs.map(({ seq, key, priority, inRound }) => ({
    ...{ tenant: 1, seq, gate, line: inRound ? null : -priority, capacity: 0, place: -priority, state_key: '', state_ttl: 0 },
    ...{ fair_key: key, fair_turn: inRound ? 0 : null },
  })),
  gates: [{ tenant: 1, gate, inside: 32, turn: 0 }],
  fair_keys: ['large', 'small', 'tiny'].map((key) => ({ tenant: 1, gate, key, turn: -32 })),
}

function counts(some: Record): Record {
  return { scheduled: 0, pending: 0, blocked: 0, running: 0, completed: 0, failed: 0, cancelled: 0, dead: 0, total: 0, ...some }
}

function insert(table: string, rows: readonly Record[], verb = 'VALUES'): string {
  const literal = (value: Value) => {
    if (value instanceof Uint8Array) return "''"
    return typeof value === 'string' ? `'${value}'` : String(value)
  }
  const lists = rows.map((row) => `(${Object.values(row).map(literal).join(', ')})`)
  return `INSERT INTO ${table} (${Object.keys(rows[0]!).join(', ')}) ${verb} ${lists.join(', ')}`
}

async function openedSqlite(): Promise<Store> {
  const path = await temporaryFolder()
  const db = new DatabaseSync(join(path, 'millrace.db'))
  db.exec('PRAGMA journal_mode = WAL')
  for (const step of [...sqliteSteps.slice(0, before), `PRAGMA user_version = ${before}`, 'UPDATE meta SET value = 2000']) db.exec(step)
  for (const [table, rows] of Object.entries(records)) db.exec(insert(table, rows))
  db.close()
  return openSqliteStore({ ...testOptions, path })
}

async function openedPostgres(): Promise<Store> {
  const { url } = await postgres.create()
  const { lanes, ...others } = records
  const { tenant, lane, queue, function: name, ...amounts } = lanes![0]!
  const rows = {
    ...others,
    jobs: records.jobs!.map((job) => ({ ...job, namespace: 'default', rank: job.state === 2 ? -Number(job.priority) : null })),
    lanes: [{ tenant: tenant!, lane: lane!, queue: queue!, function: name!, namespace: 'default' }],
    lane_counts: [{ tenant: tenant!, lane: lane!, writer: 1, ...amounts }],
  }
  const tables = Object.entries(rows).map(([table, list]) => insert(`millrace.${table}`, list, 'OVERRIDING SYSTEM VALUE VALUES'))
  const version = `INSERT INTO millrace.meta VALUES ('schema', ${before}), ('works_with', 1)`
  await sql(url, [beginning, ...postgresSteps.slice(0, before).map((step) => step.sql), version, ...tables].join(';'))
  return openPostgresStore({ ...testOptions, url })
}

/** Imports what that version exported. */
async function imported(kind: 'sqlite' | 'postgres'): Promise<Store> {
  const columns = ({ turn_gate, stands, ...others }: Section['columns']) => others
  const old = sections.map((section) => (section.name === 'flows' ? { ...section, columns: columns(section.columns) } : section))
  const path = await temporaryFolder()
  const source: Pick<StoreArchive, 'stamp' | 'lastSeq' | 'estimate' | 'dump'> = {
    stamp: async () => '1',
    lastSeq: async () => 2000,
    estimate: async () => 1,
    async *dump({ name, columns }): AsyncIterable<Row> {
      for (const record of records[name] ?? []) yield Object.keys(columns).map((column) => record[column] ?? null)
    },
  }
  await exportStore(source as StoreArchive, join(path, 'archive'), { sections: old, now: new Date(testNow), progress: () => undefined })
  const url = kind === 'sqlite' ? `sqlite:${path}` : (await postgres.create()).url
  const archive = await storeTools({ store: url, data: '' }).openArchive(true)
  await importStore(archive, join(path, 'archive'), { sections, progress: () => undefined })
  await archive.close()
  return kind === 'sqlite' ? openSqliteStore({ ...testOptions, path }) : openPostgresStore({ ...testOptions, url })
}

/** Takes jobs one at a time until there are none; returns their keys. */
async function drain(store: Store): Promise<string[]> {
  const scope = { tenant: await store.keys.tenant('one', testNow), namespace: 'default' }
  const demands = () => [{ functions: [''], max: 1, leaseMs: 60_000, workerId: 'w' }]
  const order = []
  for (;;) {
    const [claimed] = await store.jobs.claim({ scope, queue: 'q', demands, now: testNow })
    const job = claimed![0]
    if (!job) return order
    order.push(job.labels.key!)
    const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
    await store.jobs.settle(scope, [{ seq: job.seq, token: job.token, action }], testNow)
  }
}

describe.each([
  ['a SQLite database', openedSqlite],
  ['a Postgres database', openedPostgres],
  ['an archive, imported into SQLite,', () => imported('sqlite')],
  ['an archive, imported into Postgres,', () => imported('postgres')],
] as const)('%s of the time before fair keys stood together with limits', (name, open) => {
  it('has its waiting jobs run in turn', async ({ skip }) => {
    if (name.includes('Postgres') && postgres.missing) skip(postgres.missing)
    const store = await open()
    const order = await drain(store)
    await store.close()
    expect(order).toHaveLength(jobs.length)
    expect(order.slice(0, 32)).toEqual(keys.slice(0, 32))
    // The next round is for all, and the rest waits for the round after that.
    const next = order.slice(32, 64).filter((key) => key !== 'large')
    expect(next.toSorted()).toEqual(['small', 'small', 'tiny'])
    // The one of the highest priority comes first.
    expect(order[32]).toBe('small')
  })
})
