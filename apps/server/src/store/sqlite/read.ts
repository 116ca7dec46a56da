import type { StatementSync } from 'node:sqlite'
import type { JobFilter, JobRecord, LogEntry, Page, Scope, Seq } from '../ports.ts'
import type { Context } from './context.ts'
import { type JobRow, jobColumns, jobRecord } from './rows.ts'

/** Rows looked at for one page at most; a filter that fits few jobs gives short pages instead of long pauses. */
const mostScanned = 5000
/** A page is cut short at this many bytes of payloads or results. */
const mostBytes = 8 * 1024 * 1024
const newest = Number.MAX_SAFE_INTEGER

/** Reads jobs. Reads see committed changes only: a transaction never spans a turn of the event loop. */
export class Read {
  readonly #context: Context
  readonly #get: StatementSync
  readonly #byTime: StatementSync
  readonly #byBatch: StatementSync
  readonly #byLabel: StatementSync
  readonly #dead: StatementSync
  readonly #logs: StatementSync

  constructor(context: Context) {
    this.#context = context
    const { db } = context
    this.#get = db.prepare(`SELECT ${jobColumns} FROM jobs WHERE tenant = ? AND seq = ?`)
    const narrow = 'SELECT seq, lane, state FROM jobs'
    this.#byTime = db.prepare(`${narrow} WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?`)
    this.#byBatch = db.prepare(`${narrow} WHERE tenant = ? AND seq < ? AND batch = ? ORDER BY seq DESC LIMIT ?`)
    this.#byLabel = db.prepare(`SELECT seq, lane, state FROM labels JOIN jobs USING (tenant, seq)
      WHERE tenant = ? AND seq < ? AND key = ? AND value = ? ORDER BY seq DESC LIMIT ?`)
    this.#dead = db.prepare(`SELECT ${jobColumns} FROM jobs WHERE tenant = ? AND lane = ? AND state = 6 AND seq > ? ORDER BY seq LIMIT ?`)
    this.#logs = db.prepare(`SELECT line, timestamp, level, message, fields FROM logs
      WHERE tenant = ? AND seq = ? AND line > ? ORDER BY line LIMIT ?`)
  }

  get(scope: Scope, seq: Seq, withPayload: boolean): JobRecord | undefined {
    const row = this.#get.get(scope.tenant, seq) as JobRow | undefined
    if (!row || !this.#context.inScope(scope, this.#context.lanes.lane(row.lane))) return undefined
    return this.#record(row, withPayload)
  }

  list(scope: Scope, filter: JobFilter, page: { limit: number; before?: Seq }): Page<JobRecord> {
    const candidates = this.#candidates(scope, filter, page.before ?? newest)
    const items: JobRecord[] = []
    let bytes = 0
    for (const row of candidates as unknown as { seq: number; lane: number; state: JobRow['state'] }[]) {
      if (items.length === page.limit || bytes >= mostBytes) return { items, next: items.at(-1)!.seq }
      const lane = this.#context.lanes.lane(row.lane)
      if (!this.#context.inScope(scope, lane)) continue
      if (filter.tasksOnly && lane.function === '') continue
      if (filter.functions && !filter.functions.includes(lane.function)) continue
      if (filter.queue !== undefined && lane.queue.name !== filter.queue) continue
      if (filter.states?.length && !filter.states.includes(row.state)) continue
      const record = this.#record(this.#get.get(scope.tenant, row.seq) as unknown as JobRow, false)
      if (!carries(record.labels, filter.labels)) continue
      items.push(record)
      bytes += record.result?.length ?? 0
    }
    const last = candidates.length === mostScanned ? Number(candidates.at(-1)!.seq) : undefined
    return { items, next: last }
  }

  /** Failed jobs of all functions of a queue. */
  listDead(scope: Scope, queueName: string, page: { limit: number; after?: Seq }): Page<JobRecord> {
    const queue = this.#context.lanes.queue(scope, queueName)
    const rows: JobRow[] = []
    for (const lane of queue?.lanes.values() ?? []) {
      if (lane.counts.dead === 0) continue
      rows.push(...(this.#dead.all(scope.tenant, lane.number, page.after ?? 0, page.limit) as unknown as JobRow[]))
    }
    rows.sort((a, b) => a.seq - b.seq)
    const items: JobRecord[] = []
    let bytes = 0
    for (const row of rows) {
      if (items.length === page.limit || bytes >= mostBytes) return { items, next: items.at(-1)!.seq }
      const record = this.#record(row, true)
      items.push(record)
      bytes += record.payload!.length
    }
    return { items, next: items.length === page.limit ? items.at(-1)!.seq : undefined }
  }

  logs(scope: Scope, seq: Seq, page: { limit: number; after: number }): readonly LogEntry[] {
    return this.#logs.all(scope.tenant, seq, page.after, page.limit).map((row) => ({
      sequence: Number(row.line),
      timestamp: Number(row.timestamp),
      level: Number(row.level),
      message: String(row.message),
      fields: String(row.fields),
    }))
  }

  #candidates({ tenant }: Scope, filter: JobFilter, before: Seq) {
    if (filter.batch !== undefined) return this.#byBatch.all(tenant, before, filter.batch, mostScanned)
    for (const key in filter.labels) return this.#byLabel.all(tenant, before, key, filter.labels[key]!, mostScanned)
    return this.#byTime.all(tenant, before, mostScanned)
  }

  #record(row: JobRow, withPayload: boolean): JobRecord {
    return jobRecord(row, this.#context, withPayload)
  }
}

function carries(labels: JobRecord['labels'], wanted: JobFilter['labels']): boolean {
  for (const key in wanted) if (labels[key] !== wanted[key]) return false
  return true
}
