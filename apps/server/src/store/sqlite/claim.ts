import type { StatementSync } from 'node:sqlite'
import { noAftermath } from '../flow/aftermath.ts'
import { takeInTurn } from '../flow/fair.ts'
import { fairKinds, ratedKinds, take } from '../flow/flows.ts'
import { startRated } from '../flow/rates.ts'
import { type ClaimedJob, type ClaimRequest, type Demand, JobState, type Scope, type Seq } from '../ports.ts'
import { BlobKind } from './blobs.ts'
import type { Context } from './context.ts'
import type { Aftermaths } from './flow.ts'
import type { LaneEntry, QueueEntry } from './lanes.ts'
import { recordOfText } from './rows.ts'

/** A demand is cut short at this much payload: it all is in memory until it is sent. */
const mostBytes = 2 * 1024 * 1024

/** Takes jobs under leases. */
export class Claim {
  readonly #context: Context
  readonly #aftermaths: Aftermaths
  readonly #heads: StatementSync
  readonly #take: StatementSync

  constructor(context: Context, aftermaths: Aftermaths) {
    this.#context = context
    this.#aftermaths = aftermaths
    // The index gives the order: what it costs does not depend on how many jobs wait.
    this.#heads =
      context.db.prepare(`SELECT seq, priority, attempts, max_attempts, created_at, timeout_ms, content_type, headers, labels, payload, flow
      FROM jobs INDEXED BY jobs_ready WHERE tenant = ? AND lane = ? AND state = 2 ORDER BY priority DESC, seq LIMIT ?`)
    this.#heads.setReturnArrays(true)
    this.#take =
      context.db.prepare(`UPDATE jobs SET state = ${JobState.running}, attempts = ?, token = ?, lease_ms = ?, worker = ?, started_at = ?,
      updated_at = ?, revision = revision + 1, deadline = ?, due_at = ? WHERE tenant = ? AND seq = ?`)
  }

  run(request: ClaimRequest): Promise<readonly (readonly ClaimedJob[])[]> {
    return this.#context.writer.mutate(() => {
      const queue = this.#context.lanes.queue(request.scope, request.queue)
      return request.demands().map((demand) => (queue && !queue.paused ? this.#claim(request, queue, demand) : []))
    })
  }

  #claim({ scope, now }: ClaimRequest, queue: QueueEntry, demand: Demand): readonly ClaimedJob[] {
    const claimed: ClaimedJob[] = []
    const [rated, fair]: [Seq[], Seq[]] = [[], []]
    let bytes = 0
    for (const head of this.#next(queue, demand)) {
      const job = this.#lease(scope, demand, head, now)
      claimed.push(job)
      const kind = head.row[10] ?? 0
      if (ratedKinds.includes(kind)) rated.push(job.seq)
      if (fairKinds.includes(kind)) fair.push(job.seq)
      bytes += bytesOf(job)
      if (bytes >= mostBytes) break
    }
    if (rated.length > 0) this.#start(scope, rated, now)
    if (fair.length > 0) this.#takeInTurn(scope, fair, now)
    return claimed
  }

  /** The next jobs of all lanes together, in order; at least one when there is one. */
  #next(queue: QueueEntry, { functions, max }: Demand): readonly Head[] {
    const lanes = functions.map((name) => queue.lanes.get(name)).filter((lane) => lane !== undefined && lane.counts.pending > 0)
    const share = Math.max(Math.ceil(max / lanes.length), 4)
    const heads: Head[] = []
    for (const lane of lanes as LaneEntry[]) {
      const rows = this.#heads.all(queue.tenant, lane.number, Math.min(share, max)) as unknown as ReadyRow[]
      rows.forEach((row, index) => {
        heads.push({ row, lane, last: index === share - 1 })
      })
    }
    if (lanes.length <= 1) return heads
    heads.sort((a, b) => b.row[1] - a.row[1] || a.row[0] - b.row[0])
    // Past the last one read of a lane, its next might come before those of other lanes.
    const end = heads.findIndex((head) => head.last) + 1
    return heads.slice(0, Math.min(end || heads.length, max))
  }

  /** Jobs that take turns are taken: the next ones may be due. */
  #takeInTurn(scope: Scope, fair: readonly Seq[], now: number): void {
    const start = [...this.#context.flow.run(takeInTurn(scope.tenant, fair))]
    const touched = new Set<LaneEntry>()
    this.#aftermaths.apply(scope, { ...noAftermath(), start }, now, touched)
    for (const lane of touched) this.#context.ready(lane)
  }

  /** Jobs whose starts are limited have started. */
  #start({ tenant }: Scope, rated: readonly Seq[], now: number): void {
    const dueAt = this.#context.flow.run(startRated(tenant, rated, now))
    if (dueAt !== undefined) this.#context.changed(tenant, rated[0]!, JobState.running, 'other', dueAt)
  }

  #lease(scope: Scope, { leaseMs, workerId }: Demand, { row, lane }: Head, now: number): ClaimedJob {
    const { lanes, sequence, blobs } = this.#context
    const [seq, priority, attempts, maxAttempts, createdAt, timeoutMs, contentType, headers, labels, payload, flow] = row
    const token = sequence.next()
    const deadline = timeoutMs > 0 ? now + timeoutMs : undefined
    const leaseExpiresAt = now + leaseMs
    const dueAt = deadline === undefined ? leaseExpiresAt : Math.min(deadline, leaseExpiresAt)
    this.#take.run(attempts + 1, token, leaseMs, workerId, now, now, deadline ?? null, dueAt, scope.tenant, seq)
    lanes.move(lane, 'pending', 'running')
    this.#context.changed(scope.tenant, seq, JobState.running, 'other')
    const job = {
      seq,
      queue: lane.queue.name,
      function: lane.function,
      payload: blobs.load(scope.tenant, seq, BlobKind.payload, payload),
      contentType: contentType ?? '',
      headers: recordOfText(headers),
      labels: recordOfText(labels),
      priority,
      attempt: attempts + 1,
      maxAttempts,
      createdAt,
      token,
      leaseExpiresAt,
      deadline,
    }
    return flow === null || ratedKinds.includes(flow) || fairKinds.includes(flow)
      ? job
      : { ...job, ...this.#context.flow.run(take({ ...scope, namespace: lane.queue.namespace }, seq, now, this.#context.lists)) }
  }
}

/** What a job brings along. */
function bytesOf({ payload, state, stage }: ClaimedJob): number {
  const inputs = stage?.inputs.reduce((sum, { result }) => sum + (result?.data.length ?? 0), 0) ?? 0
  return payload.length + (state?.data.length ?? 0) + inputs
}

/** A pending job's row. */
type ReadyRow = readonly [
  seq: number,
  priority: number,
  attempts: number,
  maxAttempts: number,
  createdAt: number,
  timeoutMs: number,
  contentType: string | null,
  headers: string | null,
  labels: string | null,
  payload: Uint8Array | null,
  flow: number | null,
]

interface Head {
  readonly row: ReadyRow
  readonly lane: LaneEntry
  /** The lane may have more that was not read. */
  readonly last: boolean
}
