import type { Millrace } from '@millrace/client'

/** What happened in a month. */
export interface Month {
  /** Such as `2027-01`. */
  readonly month: string
  readonly commits: number
  readonly authors: number
  readonly insertions: number
  readonly deletions: number
}

const byMonth = `
  SELECT strftime(date, '%Y-%m') AS month, count(*) AS commits, count(DISTINCT author) AS authors,
    sum(insertions) AS insertions, sum(deletions) AS deletions
  FROM commits GROUP BY month ORDER BY month`

const months = `
  CREATE TABLE months (month text PRIMARY KEY, commits int NOT NULL, authors int NOT NULL, insertions bigint NOT NULL, deletions bigint NOT NULL)`

/** Brings a file to a bucket, its rows into a database, and what they come to into a table. Run again, it ends with the same. */
export async function load(mr: Millrace, csv: string): Promise<{ readonly commits: number; readonly months: number }> {
  const bucket = mr.bucket('history')
  if (!(await mr.buckets.list()).items.some(({ name }) => name === 'history')) await bucket.create()
  await bucket.put('commits.csv', csv, { contentType: 'text/csv' })

  const db = mr.database('history')
  await db.create({ ifNotExists: true })
  const commits = await db.importObject('commits', { bucket: 'history', key: 'commits.csv', mode: 'replace' })
  const { rows } = await db.query<Month>(byMonth, [], { limit: 10_000 })

  await mr.tables.migrate([{ name: '001_months.sql', sql: months }])
  await mr.table<Month>('months').upsert(rows, { onConflict: 'month' })
  return { commits, months: rows.length }
}

/** The last months that there are, the latest first. */
export async function latest(mr: Millrace, count: number): Promise<Month[]> {
  return await mr.table<Month>('months').select().order('month.desc').limit(count)
}
