import { FlowKind, fairKinds, ratedKinds } from '../flow/flows.ts'
import { type ClaimedJob, type ClaimRequest, type JobChange, JobState, type Scope } from '../ports.ts'
import { columns, numbers, texts } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { beginStages, startJobs, takeJobsInTurn, withState } from './flow.ts'
import type { Taker, WaitingClaim } from './handoff.ts'
import type { Position } from './heads.ts'
import { keyOf, type LaneEntry } from './lanes.ts'
import { recordOfText } from './rows.ts'

/** A claim is cut short at this much payload: it all is in memory until it is sent. */
const mostBytes = 2 * 1024 * 1024
/** Jobs claimed in one statement at most. */
const mostJobs = 1000

/** Where the claim begins in a lane. */
const laneRows = columns<{ readonly lane: LaneEntry; readonly from: Position }>({
  lane: ['int', ({ lane }) => lane.number],
  rank: ['int', ({ from }) => from.rank],
  seq: ['bigint', ({ from }) => from.seq],
})

/**
 * Leases the next jobs of some lanes: `$2` in each, in the order of all, at most `$3` together. Each has a taker: the number
 * of a worker, and the length of the lease.
 *
 * - `heads` walks the ready index: what it costs does not depend on how many jobs wait. Running jobs, and those that another
 *   claim holds, are passed over.
 * - Past the last one read of a lane (`bound`), its next might come before those of other lanes: what comes later stays.
 * - A token is larger than the job's last one, even if that was given by a node whose clock is ahead.
 */
const take: Statement = {
  name: 'claim',
  // If the answer is lost, so are the leases: they run out.
  repeatable: false,
  text: `
    WITH heads AS MATERIALIZED (
      SELECT h.*, row_number() OVER (PARTITION BY i.lane ORDER BY h.rank, h.seq) AS n
      FROM ${laneRows.from('i', 10)} CROSS JOIN LATERAL (
        SELECT j.ctid AS at, j.rank, j.seq, octet_length(j.payload) AS bytes FROM millrace.jobs j
        WHERE j.tenant = $1 AND j.lane = i.lane AND j.rank IS NOT NULL AND (j.rank, j.seq) >= (i.rank, i.seq) AND j.state = ${JobState.pending}
        ORDER BY j.rank, j.seq LIMIT $2 FOR UPDATE SKIP LOCKED
      ) AS h
      WHERE NOT (SELECT paused FROM millrace.queues WHERE tenant = $1 AND queue = $9)
    ), bound AS MATERIALIZED (
      SELECT rank, seq FROM heads WHERE n = $2 ORDER BY rank, seq LIMIT 1
    ), chosen AS MATERIALIZED (
      SELECT h.at, row_number() OVER inorder AS n, sum(h.bytes) OVER (inorder ROWS UNBOUNDED PRECEDING) - h.bytes AS before
      FROM heads h LEFT JOIN bound b ON true
      WHERE b.seq IS NULL OR (h.rank, h.seq) <= (b.rank, b.seq)
      WINDOW inorder AS (ORDER BY h.rank, h.seq)
    ), taken AS (
      UPDATE millrace.jobs j SET state = ${JobState.running}, attempts = j.attempts + 1, revision = j.revision + 1,
        token = greatest($4::bigint + c.n, abs(j.token) + 1), worker = ($5::text[])[($6::int[])[c.n]], lease_ms = ($7::bigint[])[c.n],
        started_at = $8::bigint, updated_at = $8, deadline = CASE WHEN j.timeout_ms > 0 THEN $8 + j.timeout_ms END,
        lease_until = least($8 + ($7::bigint[])[c.n], CASE WHEN j.timeout_ms > 0 THEN $8 + j.timeout_ms END)
      FROM chosen c WHERE j.ctid = c.at AND c.n <= $3 AND c.before < ${mostBytes}
      RETURNING c.n, j.tenant, j.seq, j.lane, j.priority, j.attempts, j.max_attempts, j.created_at, j.token, j.lease_ms, j.lease_until, j.deadline,
        j.content_type, j.headers, j.labels, j.payload, j.flow
    ), tracked AS (
      INSERT INTO millrace.leases (tenant, id, due_at, seqs)
      SELECT $1, $4::bigint, min(lease_until), array_agg(seq) FROM taken HAVING count(*) > 0
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.pending} AS from_state, ${JobState.running} AS into_state FROM taken`, '$13::int')}
    )
    SELECT n, seq, lane, priority, attempts, max_attempts, created_at, token, lease_ms, deadline, content_type, headers, labels, payload, flow
    FROM taken ORDER BY n`,
}

type TakenRow = readonly [
  n: number,
  seq: number,
  lane: number,
  priority: number,
  attempt: number,
  maxAttempts: number,
  createdAt: number,
  token: number,
  leaseMs: number,
  deadline: number | null,
  contentType: string | null,
  headers: string | null,
  labels: string | null,
  payload: Uint8Array,
  flow: number | null,
]

/** Takes jobs under leases. */
export class Claim {
  readonly #context: Context
  /** Claims of one queue are made one after the other, all that wait together. */
  readonly #queues = new Map<string, { waiting: WaitingClaim[] }>()
  #idle: (() => void)[] = []

  constructor(context: Context) {
    this.#context = context
  }

  run(request: ClaimRequest): Promise<readonly (readonly ClaimedJob[])[]> {
    return new Promise((resolve, reject) => {
      const claim = { request, resolve, reject }
      const key = keyOf(request.scope, request.queue)
      const queue = this.#queues.get(key)
      if (queue) queue.waiting.push(claim)
      else if (!this.#context.handoff.catches(claim)) {
        const started = { waiting: [claim] }
        this.#queues.set(key, started)
        setImmediate(() => void this.#work(key, started))
      }
    })
  }

  /** Resolves when no claim is under way. */
  close(): Promise<void> {
    return this.#queues.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  async #work(key: string, queue: { waiting: WaitingClaim[] }): Promise<void> {
    while (queue.waiting.length > 0) {
      const callers = queue.waiting
      queue.waiting = []
      try {
        const results = await this.#claim(callers.map(({ request }) => request))
        for (const [i, { resolve }] of callers.entries()) resolve(results[i]!)
      } catch (error) {
        for (const { reject } of callers) reject(error)
      }
    }
    this.#queues.delete(key)
    if (this.#queues.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #claim(requests: readonly ClaimRequest[]): Promise<readonly (readonly (readonly ClaimedJob[])[])[]> {
    const [{ scope, queue: name }] = requests as [ClaimRequest]
    const queue = (await this.#context.lanes.load([[scope, name]])).get(keyOf(scope, name))!
    // Asked for now, as late as can be.
    const takers = requests.map((request) => request.demands().map((demand): Taker => ({ demand, jobs: [] })))
    const now = Math.max(...requests.map((request) => request.now))
    for (const alike of groupAlike(takers.flat())) {
      const lanes = alike[0]!.demand.functions.map((name) => queue.lanes.get(name)).filter((lane) => lane !== undefined)
      if (lanes.length > 0) await this.#take(scope, lanes, alike, now)
    }
    return takers.map((each) => each.map(({ jobs }) => jobs))
  }

  /** Takes jobs of some lanes for takers that want them all. */
  async #take(scope: Scope, lanes: readonly LaneEntry[], takers: readonly Taker[], now: number): Promise<void> {
    const { db, heads, nodes, sequence } = this.#context
    if (lanes.every((lane) => heads.isDry(scope.tenant, lane.number))) return
    const slots = slotsOf(takers)
    await nodes.reserve(1)
    const share = lanes.length === 1 ? slots.length : Math.min(Math.max(Math.ceil(slots.length / lanes.length), 4), slots.length)
    const rows = await db.run<TakenRow>(take, [
      scope.tenant,
      share,
      slots.length,
      sequence.next(),
      texts(takers.map(({ demand }) => demand.workerId)),
      numbers(slots.map((slot) => slot + 1)),
      numbers(slots.map((slot) => takers[slot]!.demand.leaseMs)),
      now,
      lanes[0]!.queue.number,
      ...laneRows.values(lanes.map((lane) => ({ lane, from: heads.begin(scope.tenant, lane.number) }))),
      this.#context.writer(Writer.claim),
    ])
    const found = new Map(lanes.map((lane) => [lane.number, { lane, count: 0, last: undefined as Position | undefined }]))
    const changes: JobChange[] = []
    let bytes = 0
    const rated = rows.filter((row) => ratedKinds.includes(row[14] ?? 0)).map(([, seq]) => seq)
    if (rated.length > 0) await startJobs(this.#context, scope, rated, now)
    const fair = rows.filter((row) => fairKinds.includes(row[14] ?? 0)).map(([, seq]) => seq)
    if (fair.length > 0) await takeJobsInTurn(this.#context, scope, fair, now)
    const staged = rows.filter((row) => row[14] === FlowKind.stage).map(([, seq]) => seq)
    const stages = staged.length > 0 ? await beginStages(this.#context, scope, staged, now) : undefined
    for (const row of rows) {
      const [n, seq, number, priority] = row
      const lane = found.get(number)!
      const plain = claimedJob(row, lane.lane, now)
      const stage = stages?.get(seq)
      const job = stage ? { ...plain, stage } : row[14] === null ? plain : await withState(this.#context, scope, plain, row[14], now)
      takers[slots[n - 1]!]!.jobs.push(job)
      lane.count++
      lane.last = { rank: -priority, seq }
      bytes += job.payload.length + (job.state?.data.length ?? 0)
      changes.push({ tenant: scope.tenant, seq, state: JobState.running, cause: 'other' })
    }
    for (const [number, { last }] of found) if (last) heads.took(scope.tenant, number, last)
    const all = [...found.values()]
    // Neither its number nor its bytes cut the claim short.
    const drained = bytes < mostBytes && rows.length < slots.length && all.every(({ count }) => count < share)
    if (drained) for (const lane of lanes) heads.drained(scope.tenant, lane.number)
    if (changes.length > 0) await this.#context.announce({ changes })
  }
}

/** Takers that draw from the same functions, together; in turn. */
function groupAlike(takers: readonly Taker[]): Iterable<readonly Taker[]> {
  const groups = new Map<string, Taker[]>()
  for (const taker of takers) {
    const key = JSON.stringify(taker.demand.functions)
    const group = groups.get(key)
    if (group) group.push(taker)
    else groups.set(key, [taker])
  }
  return groups.values()
}

/** The taker of each job to come: the first ones until they have enough, then the next. */
function slotsOf(takers: readonly Taker[]): number[] {
  const slots: number[] = []
  takers.forEach(({ demand }, index) => {
    for (let i = 0; i < demand.max && slots.length < mostJobs; i++) slots.push(index)
  })
  return slots
}

function claimedJob(row: TakenRow, lane: LaneEntry, now: number): ClaimedJob {
  const [, seq, , priority, attempt, maxAttempts, createdAt, token, leaseMs, deadline, contentType, headers, labels, payload] = row
  return {
    seq,
    queue: lane.queue.name,
    function: lane.function,
    payload,
    contentType: contentType ?? '',
    headers: recordOfText(headers),
    labels: recordOfText(labels),
    priority,
    attempt,
    maxAttempts,
    createdAt,
    token,
    leaseExpiresAt: now + leaseMs,
    deadline: deadline ?? undefined,
  }
}
