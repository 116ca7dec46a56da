import { MillraceError } from '../../errors.ts'
import { type Aftermath, noAftermath } from '../flow/aftermath.ts'
import { takeInTurn } from '../flow/fair.ts'
import { type End, endFlow, FlowKind, take } from '../flow/flows.ts'
import type { Hold } from '../flow/objects/storage.ts'
import { takeStages } from '../flow/pipelines.ts'
import type { JobName, Program } from '../flow/program.ts'
import { startRated } from '../flow/rates.ts'
import { type ClaimedJob, type ClaimedStage, type JobChange, JobState, type Scope, type Seq, type TenantId } from '../ports.ts'
import { columns, numbers, storable } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Writer } from './counts.ts'
import type { Statement, Transaction, Value } from './database.ts'
import { addJobs } from './enqueue-flow.ts'
import { type ReadyLane, type ReadyRow, readyOf } from './heads.ts'

const names = columns<JobName>({ tenant: ['int', ({ tenant }) => tenant], seq: ['bigint', ({ seq }) => seq] })

/** Every transaction locks gates before jobs, and both in order, so that none waits for another in a circle. */
const lockGates: Statement = {
  name: 'flow_lock',
  repeatable: true,
  text: `
    SELECT 1 FROM (
      SELECT DISTINCT f.tenant, f.gate FROM ${names.from('i', 1)}
      CROSS JOIN LATERAL (SELECT tenant, gate, rate_gate, turn_gate FROM millrace.flows WHERE tenant = i.tenant AND seq = i.seq LIMIT 1) AS w
      CROSS JOIN LATERAL (VALUES (w.tenant, w.gate), (w.tenant, w.rate_gate), (w.tenant, w.turn_gate)) AS f (tenant, gate)
    ) AS f JOIN millrace.gates g ON g.tenant = f.tenant AND g.gate = f.gate ORDER BY g.tenant, g.gate FOR UPDATE OF g`,
}

const lockPipelines: Statement = {
  name: 'flow_lock_pipelines',
  repeatable: true,
  text: `
    SELECT 1 FROM (
      SELECT DISTINCT s.tenant, s.pipeline FROM ${names.from('i', 1)}
      CROSS JOIN LATERAL (SELECT tenant, pipeline FROM millrace.stage_jobs WHERE tenant = i.tenant AND seq = i.seq LIMIT 1) AS s
    ) AS s JOIN millrace.pipelines p ON p.tenant = s.tenant AND p.seq = s.pipeline ORDER BY p.tenant, p.seq FOR UPDATE OF p`,
}
const lockPipeline: Statement = {
  name: 'flow_lock_pipeline',
  repeatable: true,
  text: 'SELECT 1 FROM millrace.pipelines WHERE tenant = $1 AND seq = $2 FOR UPDATE',
}

const cancel: Statement = {
  name: 'flow_cancel',
  repeatable: false,
  text: `
    WITH held AS MATERIALIZED (
      SELECT ctid AS at, state FROM millrace.jobs
      WHERE tenant = $1 AND seq = ANY ($2::bigint[]) AND state < ${JobState.completed} ORDER BY seq FOR UPDATE
    ), done AS (
      UPDATE millrace.jobs j SET state = ${JobState.cancelled}, updated_at = $3::bigint, cancelled_at = $3, revision = j.revision + 1,
        token = -abs(j.token), rank = NULL, run_at = NULL, lease_until = NULL, deadline = NULL, message = NULL
      FROM held WHERE j.ctid = held.at RETURNING j.tenant, j.seq, j.lane, held.state AS before
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, before AS from_state, ${JobState.cancelled} AS into_state FROM done`, '$4::int')}
    )
    SELECT seq FROM done`,
}

const restart: Statement = {
  name: 'flow_restart',
  repeatable: false,
  text: `
    WITH held AS MATERIALIZED (
      SELECT ctid AS at, state FROM millrace.jobs
      WHERE tenant = $1 AND seq = ANY ($2::bigint[]) AND state IN (${JobState.failed}, ${JobState.cancelled}) ORDER BY seq FOR UPDATE
    ), done AS (
      UPDATE millrace.jobs j SET state = $5::int, rank = CASE WHEN $5 = ${JobState.pending} THEN -j.priority END, updated_at = $3::bigint,
        failed_at = NULL, cancelled_at = NULL, revision = j.revision + 1, token = -abs(j.token), attempts = 0, progress = NULL, message = NULL
      FROM held WHERE j.ctid = held.at RETURNING j.tenant, j.seq, j.lane, j.priority, held.state AS before
    ), counted AS (
      ${countMoves('SELECT tenant, lane, before AS from_state, $5::int AS into_state FROM done', '$4::int')}
    )
    SELECT tenant, lane, -priority, seq FROM done`,
}

const admit: Statement = {
  name: 'flow_admit',
  repeatable: false,
  text: `
    WITH next AS MATERIALIZED (
      SELECT ctid AS at FROM millrace.jobs
      WHERE tenant = $1 AND seq = ANY ($2::bigint[]) AND state = ${JobState.blocked} ORDER BY seq FOR UPDATE
    ), admitted AS (
      UPDATE millrace.jobs j SET state = ${JobState.pending}, rank = -j.priority, updated_at = $3::bigint, revision = j.revision + 1
      FROM next WHERE j.ctid = next.at RETURNING j.tenant, j.seq, j.lane, j.priority
    ), counted AS (
      ${countMoves(`SELECT tenant, lane, ${JobState.blocked} AS from_state, ${JobState.pending} AS into_state FROM admitted`, '$4::int')}
    )
    SELECT tenant, lane, -priority, seq FROM admitted`,
}

/** Programs of `store/flow` and changes of jobs in one transaction; it notes what to tell after the commit. */
export class FlowWork {
  readonly ready: ReadyLane[] = []
  readonly changes: JobChange[] = []
  readonly #context: Context
  readonly #transaction: Transaction

  constructor(context: Context, transaction: Transaction) {
    this.#context = context
    this.#transaction = transaction
  }

  run<T>(program: Program<T>): Promise<T> {
    return carryOut(program, (sql, values) => this.#transaction.query<object>(sql, values))
  }

  change<Row extends readonly unknown[]>(statement: Statement, values: readonly Value[]): Promise<Row[]> {
    return this.#transaction.run<Row>(statement, values)
  }

  /** Before anything else: nobody else changes these jobs' lines until the end. */
  async lock(jobs: readonly JobName[]): Promise<void> {
    await this.change(lockGates, names.values(jobs))
    await this.change(lockPipelines, names.values(jobs))
  }

  /** The same of a pipeline. */
  async lockPipeline(tenant: TenantId, seq: Seq): Promise<void> {
    await this.change(lockPipeline, [tenant, seq])
  }

  /** A job has ended: those who have to do with it begin, or end. */
  async ended(scope: Scope, seq: Seq, end: End): Promise<void> {
    await this.apply(scope, await this.run(endFlow(scope, seq, end)), end.now)
  }

  /** All that must become of jobs. */
  async apply(scope: Scope, { start, waiting, cancel: over, restart: again, add, pipelines }: Aftermath, now: number): Promise<void> {
    const { tenant } = scope
    const writer = this.#context.writer(Writer.other)
    // First: what waits again may begin at once.
    for (const state of [JobState.pending, JobState.blocked]) {
      const seqs = again.filter(({ blocked }) => blocked === (state === JobState.blocked)).map(({ seq }) => seq)
      if (seqs.length === 0) continue
      const rows = await this.#changeAll<ReadyRow>(restart, seqs, [tenant, numbers(seqs), now, writer, state])
      if (rows.length < seqs.length) throw forgotten()
      this.#moved(tenant, rows, state)
    }
    if (start.length > 0) {
      const rows = await this.#changeAll<ReadyRow>(admit, start, [tenant, numbers(start), now, writer])
      this.#moved(tenant, rows, JobState.pending)
    }
    for (const { seq, dueAt } of waiting) this.changes.push({ tenant, seq, state: JobState.blocked, cause: 'other', dueAt })
    if (over.length > 0) {
      for (const [seq] of await this.#changeAll<[number]>(cancel, over, [tenant, numbers(over), now, writer])) {
        this.changes.push({ tenant, seq, state: JobState.cancelled, cause: 'cancelled' })
      }
    }
    if (add.length > 0) await addJobs(this.#context, this, { scope, jobs: add, requestId: '', partial: false, batch: false, now }, Infinity)
    for (const { seq, state, deadline } of pipelines) this.changes.push({ tenant, seq, state, cause: 'other', dueAt: deadline })
  }

  /**
   * Changes these jobs, or those of them that may be changed. One that another transaction changed while this one waited for it is
   * locked, but at a place that the statement cannot see: a second time it can, and nobody has changed it since.
   */
  async #changeAll<Row extends readonly unknown[]>(statement: Statement, seqs: readonly Seq[], values: readonly Value[]): Promise<Row[]> {
    const rows = await this.change<Row>(statement, values)
    return rows.length < seqs.length ? [...rows, ...(await this.change<Row>(statement, values))] : rows
  }

  #moved(tenant: TenantId, rows: readonly ReadyRow[], state: JobState): void {
    for (const place of rows.map(readyOf)) {
      if (state === JobState.pending) this.ready.push(place)
      this.changes.push({ tenant, seq: place.seq, state, cause: 'other' })
    }
  }
}

function forgotten(): MillraceError {
  return new MillraceError('FAILED_PRECONDITION', 'A task of the pipeline is forgotten already: start the pipeline anew.')
}

/** Carries out work on jobs that have to do with others, in one transaction, and tells of it. */
export async function withFlow<T>(context: Context, work: (flow: FlowWork, transaction: Transaction) => Promise<T>): Promise<T> {
  const { result, flow } = await context.db.transaction(async (transaction) => {
    const flow = new FlowWork(context, transaction)
    return { result: await work(flow, transaction), flow }
  })
  await context.announce(flow)
  return result
}

/** Carries out a program each of whose statements stands alone. */
export function runAlone<T>({ db }: Context, program: Program<T>): Promise<T> {
  return carryOut(program, (text, values) => db.objects<object>({ name: nameOf(text), text, repeatable: true }, values))
}

/** Takes a name until the transaction ends; the lower half of the statement's hash is enough to keep names apart. */
const hold = (shared: boolean) => `SELECT pg_advisory_xact_lock${shared ? '_shared' : ''}(hashtextextended($1, 7411002))`

/** Carries out a program in one transaction, while nobody else has what it holds. */
export function runTogether<T>({ db }: Context, program: () => Program<T>, holds: readonly Hold[] = []): Promise<T> {
  return db.transaction(async (transaction) => {
    // In one order, so that nobody waits for another in a circle.
    for (const { name, shared } of [...holds].sort((a, b) => (a.name < b.name ? -1 : 1))) await transaction.query(hold(shared), [name])
    return carryOut(program(), (sql, values) => transaction.query<object>(sql, values))
  })
}

/** A claimed job with the state that it works on, if it has one. */
export async function withState(context: Context, scope: Scope, job: ClaimedJob, kind: number, now: number): Promise<ClaimedJob> {
  if (kind !== FlowKind.stateful) return job
  return { ...job, ...(await runAlone(context, take(scope, job.seq, now, context.lists))) }
}

/** Claimed jobs of stages have begun: what their handlers are given. In one transaction, as their leases run already. */
export function beginStages(context: Context, { tenant }: Scope, seqs: readonly Seq[], now: number): Promise<Map<Seq, ClaimedStage>> {
  return withFlow(context, async (flow) => {
    await flow.lock(seqs.map((seq) => ({ tenant, seq })))
    const taken = await flow.run(takeStages(tenant, seqs, now, context.lists))
    for (const seq of new Set([...taken.values()].map(({ pipeline }) => pipeline))) {
      flow.changes.push({ tenant, seq, state: JobState.running, cause: 'other' })
    }
    return taken
  })
}

/** Claimed jobs whose starts are limited have started. */
export function startJobs(context: Context, { tenant }: Scope, seqs: readonly Seq[], now: number): Promise<void> {
  return withFlow(context, async (flow) => {
    await flow.lock(seqs.map((seq) => ({ tenant, seq })))
    const dueAt = await flow.run(startRated(tenant, seqs, now))
    if (dueAt !== undefined) flow.changes.push({ tenant, seq: seqs[0]!, state: JobState.running, cause: 'other', dueAt })
  })
}

/** Claimed jobs that take turns: the next ones may be due. */
export function takeJobsInTurn(context: Context, scope: Scope, seqs: readonly Seq[], now: number): Promise<void> {
  const { tenant } = scope
  return withFlow(context, async (flow) => {
    await flow.lock(seqs.map((seq) => ({ tenant, seq })))
    const start = [...(await flow.run(takeInTurn(tenant, seqs)))]
    await flow.apply(scope, { ...noAftermath(), start }, now)
  })
}

const statementNames = new Map<string, string>()
function nameOf(text: string): string {
  const known = statementNames.get(text)
  if (known) return known
  const name = `flow_${statementNames.size}`
  statementNames.set(text, name)
  return name
}

async function carryOut<T>(program: Program<T>, run: (sql: string, values: readonly Value[]) => Promise<readonly object[]>): Promise<T> {
  let step = program.next([])
  while (!step.done) {
    const values = step.value.values.map((value) => (typeof value === 'string' ? storable(value) : value))
    step = program.next(await run(step.value.sql, values))
  }
  return step.value
}
