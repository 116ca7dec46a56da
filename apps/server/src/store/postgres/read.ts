import type { JobFilter, JobRecord, LogEntry, Page, Scope, Seq } from '../ports.ts'
import { numbers, storable, texts } from './arrays.ts'
import type { Database, Statement, Value } from './database.ts'
import { keyOf } from './lanes.ts'
import { type Pending, Pipeline } from './pipeline.ts'
import { completedRead, inNamespace, type JobRow, jobColumns, jobRecord, jobsRead, seen } from './rows.ts'

/** Rows looked at for one page at most; a filter that fits few jobs gives short pages instead of long pauses. */
const mostScanned = 5000
/** A page is cut short at this many bytes of payloads or results. */
const mostBytes = 8 * 1024 * 1024
/** Jobs read in one statement, about, for callers that ask at the same time: their results are all in memory at once. */
const mostTogether = 32
const newest = Number.MAX_SAFE_INTEGER

/** SQL: one job wherever it is, by `tenant` and `seq`. */
const oneJob = (tenant: string, seq: string) => `${jobsRead} WHERE tenant = ${tenant} AND seq = ${seq}
    UNION ALL ${completedRead} WHERE tenant = ${tenant} AND seq = ${seq} AND ${seen}`

const get = (name: string, withPayload: boolean): Statement => ({
  name,
  repeatable: true,
  text: `SELECT ${jobColumns(withPayload)} FROM unnest($3::bigint[]) WITH ORDINALITY AS i (seq, n)
    CROSS JOIN LATERAL (${oneJob('$1::int', 'i.seq')}) AS j ${inNamespace('$2')} ORDER BY i.n`,
})
const getWithPayload = get('job_get', true)
const getMany = get('job_get_many', false)

/**
 * SQL: jobs in order of `seq`, newest first, that fit the filter among the first `mostScanned`; the last column is the
 * oldest of those when there may be more.
 */
const list = (name: string, candidates: string): Statement => ({
  name,
  repeatable: true,
  text: `
    WITH candidates AS MATERIALIZED (${candidates} ORDER BY seq DESC LIMIT ${mostScanned})
    SELECT j.seq, j.bytes, (SELECT CASE WHEN count(*) = ${mostScanned} THEN min(seq) END FROM candidates)
    FROM candidates j ${inNamespace('$2')}
    WHERE ($5::text[] IS NULL OR l.function = ANY ($5)) AND ($6::text IS NULL OR q.name = $6) AND (NOT $7::boolean OR l.function <> '')
      AND ($8::smallint[] IS NULL OR j.state = ANY ($8))
      AND NOT EXISTS (
        SELECT FROM unnest($9::text[], $10::text[]) AS w (key, value)
        WHERE NOT EXISTS (SELECT FROM millrace.labels x WHERE x.tenant = $1 AND x.key = w.key AND x.value = w.value AND x.seq = j.seq)
      )
    UNION ALL SELECT NULL, NULL, CASE WHEN count(*) = ${mostScanned} THEN min(seq) END FROM candidates
    ORDER BY seq DESC NULLS LAST LIMIT $4`,
})
const either = (condition: string) => `
    SELECT tenant, seq, lane, state, 0 AS bytes FROM millrace.jobs WHERE tenant = $1 AND seq < $3 ${condition}
    UNION ALL SELECT tenant, seq, lane, 5::smallint, octet_length(result) FROM millrace.completed
      WHERE tenant = $1 AND seq < $3 AND ${seen} ${condition}`
const listAll = list('job_list', either(''))
const listBatch = list('job_list_batch', either('AND batch = $11::bigint'))
const listLabel = list(
  'job_list_label',
  `SELECT j.* FROM millrace.labels x CROSS JOIN LATERAL (
      SELECT tenant, seq, lane, state, 0 AS bytes FROM millrace.jobs WHERE tenant = x.tenant AND seq = x.seq
      UNION ALL SELECT tenant, seq, lane, 5::smallint, octet_length(result) FROM millrace.completed
        WHERE tenant = x.tenant AND seq = x.seq AND ${seen}
    ) AS j WHERE x.tenant = $1 AND x.key = $11::text AND x.value = $12::text AND x.seq < $3`,
)

const listDead: Statement = {
  name: 'job_list_dead',
  repeatable: true,
  text: `
    SELECT ${jobColumns(true)}
    FROM millrace.queues q JOIN millrace.lanes l ON l.tenant = q.tenant AND l.queue = q.queue
    CROSS JOIN LATERAL (${jobsRead} WHERE tenant = q.tenant AND lane = l.lane AND failed_at IS NOT NULL AND seq > $4 ORDER BY seq LIMIT $5) AS j
    WHERE q.tenant = $1 AND q.namespace = $2 AND q.name = $3 ORDER BY j.seq LIMIT $5`,
}

const readLogs: Statement = {
  name: 'job_logs',
  repeatable: true,
  text: `
    SELECT g.line, g.timestamp, g.level, g.message, g.fields
    FROM (${oneJob('$1::int', '$3::bigint')}) AS j ${inNamespace('$2')}
    CROSS JOIN LATERAL (
      SELECT * FROM millrace.logs WHERE tenant = $1 AND seq = $3 AND line > $4 ORDER BY line LIMIT $5
    ) AS g ORDER BY g.line`,
}

/** Some jobs that one caller asks for. */
interface Wanted {
  readonly scope: Scope
  readonly seqs: readonly Seq[]
}

/** Reads jobs, as of the latest commit. */
export class Read {
  readonly #db: Database
  readonly #pipeline: Pipeline<Wanted, readonly JobRecord[]>

  constructor(db: Database) {
    this.#db = db
    this.#pipeline = new Pipeline({
      run: (batch) => this.#readTogether(batch),
      weigh: ({ seqs }) => seqs.length,
      most: mostTogether,
      width: 2,
    })
  }

  async get(scope: Scope, seq: Seq, withPayload: boolean): Promise<JobRecord | undefined> {
    const [row] = await this.#db.objects<JobRow>(withPayload ? getWithPayload : getMany, [scope.tenant, scope.namespace, numbers([seq])])
    return row && jobRecord(row)
  }

  getMany(scope: Scope, seqs: readonly Seq[]): Promise<readonly JobRecord[]> {
    return this.#pipeline.add({ scope, seqs })
  }

  async list(scope: Scope, filter: JobFilter, page: { limit: number; before?: Seq }): Promise<Page<JobRecord>> {
    const labels = Object.entries(filter.labels ?? {})
    const [statement, by] = candidatesOf(filter, labels[0])
    const rows = await this.#db.run<[seq: number | null, bytes: number, scanned: number | null]>(statement, [
      scope.tenant,
      scope.namespace,
      page.before ?? newest,
      page.limit + 1,
      filter.functions ? texts(filter.functions) : null,
      filter.queue ?? null,
      filter.tasksOnly ?? false,
      filter.states?.length ? numbers(filter.states) : null,
      texts(labels.map(([key]) => key)),
      texts(labels.map(([, value]) => value)),
      ...by,
    ])
    const seqs: number[] = []
    let bytes = 0
    for (const [seq, size] of rows) {
      if (seq === null) continue
      if (seqs.length === page.limit || bytes >= mostBytes) return { items: await this.getMany(scope, seqs), next: seqs.at(-1)! }
      seqs.push(seq)
      bytes += size
    }
    return { items: seqs.length > 0 ? await this.getMany(scope, seqs) : [], next: rows[0]?.[2] ?? undefined }
  }

  async #readTogether(batch: readonly Pending<Wanted, readonly JobRecord[]>[]): Promise<void> {
    const byScope = new Map<string, Pending<Wanted, readonly JobRecord[]>[]>()
    for (const member of batch) {
      const key = keyOf(member.request.scope, '')
      byScope.set(key, [...(byScope.get(key) ?? []), member])
    }
    for (const members of byScope.values()) {
      const { scope } = members[0]!.request
      const wanted = new Set(members.flatMap(({ request }) => request.seqs))
      const rows = await this.#db.objects<JobRow>(getMany, [scope.tenant, scope.namespace, numbers([...wanted])])
      const found = new Map(rows.map((row) => [row.seq, jobRecord(row)]))
      for (const { request, resolve } of members)
        resolve(request.seqs.map((seq) => found.get(seq)).filter((record) => record !== undefined))
    }
  }

  /** Failed jobs of all functions of a queue. */
  async listDead(scope: Scope, queue: string, page: { limit: number; after?: Seq }): Promise<Page<JobRecord>> {
    const rows = await this.#db.objects<JobRow>(listDead, [scope.tenant, scope.namespace, queue, page.after ?? 0, page.limit + 1])
    const items: JobRecord[] = []
    let bytes = 0
    for (const row of rows) {
      if (items.length === page.limit || bytes >= mostBytes) return { items, next: items.at(-1)!.seq }
      const record = jobRecord(row)
      items.push(record)
      bytes += record.payload!.length
    }
    return { items }
  }

  async logs(scope: Scope, seq: Seq, page: { limit: number; after: number }): Promise<readonly LogEntry[]> {
    const rows = await this.#db.run<[number, number, number, string, string]>(readLogs, [
      scope.tenant,
      scope.namespace,
      seq,
      page.after,
      page.limit,
    ])
    return rows.map(([sequence, timestamp, level, message, fields]) => ({ sequence, timestamp, level, message, fields }))
  }
}

function candidatesOf({ batch }: JobFilter, label: readonly [string, string] | undefined): [Statement, readonly Value[]] {
  if (batch !== undefined) return [listBatch, [batch]]
  return label ? [listLabel, [storable(label[0]), storable(label[1])]] : [listAll, []]
}
