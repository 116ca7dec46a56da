import type { Database, Statement, Transaction } from './database.ts'
import { codeOf } from './errors.ts'
import { horizon } from './rows.ts'
import { seqAt, seqsIn } from './sequence.ts'

/** The tables that are partitioned by the numbers of jobs, that is by the time of their submission; all at the same bounds. */
const tables = ['completed', 'labels', 'logs', 'flows'] as const
type Table = (typeof tables)[number]

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
/** A partition's share of the retention: about so much longer than it must does a job stay on disk. */
const perRetention = 8
/** There are partitions for this many widths after the present; maintenance comes once a minute. */
const ahead = 2
/** Ranges dropped at a time at most. */
const mostDrops = 8
/** The few rows of a partition that must stay are moved out of it, so that it can be dropped; if they are more, it waits. */
const mostKept = 10_000
/** Whoever has this lock makes and drops partitions; the number means nothing else. */
const partitionLock = 7_411_002
/** Everybody else waits behind a lock that is waited for: rather not wait long, and try again a minute later. */
const lockTimeout = '200ms'

const readRanges: Statement = {
  name: 'partition_ranges',
  repeatable: true,
  text: `
    SELECT bounds[1]::bigint AS first, bounds[2]::bigint AS past, string_agg(parent, ' ') AS parents
    FROM pg_class p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT p.relname AS parent, regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\D*(\\d+)\\D* TO \\D*(\\d+)') AS bounds) AS b
    WHERE p.relnamespace = 'millrace'::regnamespace AND p.relkind = 'p' AND bounds IS NOT NULL GROUP BY 1, 2 ORDER BY 1`,
}

interface RangeRow {
  readonly first: number
  readonly past: number
  readonly parents: string
}

/** Job numbers from `from` up to `to`, and the tables that have a partition for them. */
interface Range {
  readonly from: number
  readonly to: number
  readonly tables: readonly Table[]
}

/** SQL: up to `limit` jobs with numbers from `$1` up to `$2` that are still to be seen, by tenant. */
const keptJobs = (limit: number) => `
    SELECT j.tenant, j.seq FROM millrace.tenants t CROSS JOIN LATERAL (
      SELECT tenant, seq FROM millrace.jobs WHERE tenant = t.tenant AND seq >= $1 AND seq < $2
      UNION ALL SELECT tenant, seq FROM millrace.completed_rest WHERE tenant = t.tenant AND seq >= $1 AND seq < $2 AND finished_at >= ${horizon}
    ) AS j LIMIT ${limit}`

/** Makes partitions ahead of time, and drops those whose jobs are all past their retention. */
export class Partitions {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** Sees to it that the jobs of the near future have partitions. Without one, they go to the table's rest, which works too. */
  async prepare(now: number, completedMs: number): Promise<void> {
    const width = Math.min(Math.max(Math.floor(completedMs / perRetention), minute), day)
    const needed = seqAt(now + ahead * width)
    if (endOf(await this.#ranges()) > needed) return
    // The rest may hold jobs of the present already: then the next range is the first.
    for (const skipped of [0, width]) {
      const made = await this.#locked(async (transaction) => {
        // Another node may have been first.
        const end = endOf(rangesOf(await transaction.query<RangeRow>(readRanges.text)))
        let from = Math.max(end, seqAt(floor(now, width) + skipped))
        while (from <= needed) {
          await add(transaction, from, from + seqsIn(width))
          from += seqsIn(width)
        }
        return true
      })
      if (made) return
    }
  }

  /** Makes what is needed and drops what is not. */
  async maintain(now: number, completedMs: number): Promise<void> {
    await this.prepare(now, completedMs)
    const old = (await this.#ranges()).filter(({ to }) => to < seqAt(now - completedMs)).slice(0, mostDrops)
    let dropped = false
    for (const range of old) if (await this.#drop(range)) dropped = true
    if (dropped) await this.#cleanRest()
  }

  async #ranges(): Promise<readonly Range[]> {
    return rangesOf(await this.#db.objects<RangeRow>(readRanges, []))
  }

  /** True when something was dropped. */
  #drop({ from, to, tables }: Range): Promise<boolean> {
    return this.#locked(async (transaction) => {
      const partition = (table: Table) => `millrace.${table}_${from}`
      for (const table of tables) await transaction.query(`LOCK TABLE ONLY millrace.${table}, ${partition(table)}`)
      if (tables.includes('completed')) {
        const [seen] = await transaction.query<{ seen: boolean }>(
          `SELECT EXISTS (SELECT FROM ${partition('completed')} WHERE finished_at >= ${horizon}) AS seen`,
        )
        if (seen!.seen) return false
        await transaction.query(`DROP TABLE ${partition('completed')}`)
      }
      const kept = await transaction.query(keptJobs(mostKept + 1), [from, to])
      if (kept.length > mostKept) return tables.includes('completed')
      for (const table of tables.filter((table) => table !== 'completed')) {
        await transaction.query(`ALTER TABLE millrace.${table} DETACH PARTITION ${partition(table)}`)
        await transaction.query(
          `INSERT INTO millrace.${table} SELECT x.* FROM (${keptJobs(mostKept)}) AS k JOIN ${partition(table)} x ON x.tenant = k.tenant AND x.seq = k.seq`,
          [from, to],
        )
        await transaction.query(`DROP TABLE ${partition(table)}`)
      }
      return true
    })
  }

  /** Deletes what is in the rests and belongs to no job that is to be seen. */
  #cleanRest(): Promise<boolean> {
    return this.#locked(async (transaction) => {
      await transaction.query(`DELETE FROM millrace.completed_rest WHERE finished_at < ${horizon}`)
      for (const table of ['labels', 'logs', 'flows']) {
        await transaction.query(`DELETE FROM millrace.${table}_rest x
          WHERE NOT EXISTS (SELECT FROM millrace.jobs j WHERE j.tenant = x.tenant AND j.seq = x.seq)
            AND NOT EXISTS (SELECT FROM millrace.completed j WHERE j.tenant = x.tenant AND j.seq = x.seq)`)
      }
      return true
    })
  }

  /** Does the work unless another node is at it, or something is in its way; false then. It is tried again with the next sweep. */
  async #locked(work: (transaction: Transaction) => Promise<boolean>): Promise<boolean> {
    try {
      return await this.#db.transaction(async (transaction) => {
        const [lock] = await transaction.query<{ free: boolean }>(`SELECT pg_try_advisory_xact_lock(${partitionLock}) AS free`)
        if (!lock!.free) return false
        await transaction.query(`SET LOCAL lock_timeout = '${lockTimeout}'`)
        return work(transaction)
      })
    } catch (error) {
      const code = codeOf(error) ?? codeOf((error as Error).cause)
      // 55P03: somebody reads the table all the while. 23514: the rest holds jobs of that time.
      if (code === '55P03' || code === '23514') return false
      throw error
    }
  }
}

async function add(transaction: Transaction, from: number, to: number): Promise<void> {
  for (const table of tables) {
    const name = `millrace.${table}_${from}`
    await transaction.query(`CREATE TABLE ${name} (LIKE millrace.${table} INCLUDING ALL)`)
    await transaction.query(`ALTER TABLE millrace.${table} ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${to})`)
  }
}

function rangesOf(rows: readonly RangeRow[]): readonly Range[] {
  return rows.map(({ first, past, parents }) => ({
    from: first,
    to: past,
    tables: tables.filter((table) => parents.split(' ').includes(table)),
  }))
}

function endOf(ranges: readonly Range[]): number {
  return ranges.at(-1)?.to ?? 0
}

function floor(time: number, width: number): number {
  return Math.floor(time / width) * width
}
