import { depart, take } from '../flow/flows.ts'
import type { JobName, Program } from '../flow/program.ts'
import { type ClaimedJob, type Content, type JobChange, JobState, type Scope } from '../ports.ts'
import { columns, numbers, storable } from './arrays.ts'
import type { Context } from './context.ts'
import { countMoves, Writer } from './counts.ts'
import type { Statement, Transaction, Value } from './database.ts'
import { type ReadyLane, type ReadyRow, readyOf } from './heads.ts'

const names = columns<JobName>({ tenant: ['int', ({ tenant }) => tenant], seq: ['bigint', ({ seq }) => seq] })

/** Every transaction locks gates before jobs, and both in order, so that none waits for another in a circle. */
const lockGates: Statement = {
  name: 'flow_lock',
  repeatable: true,
  text: `
    SELECT 1 FROM (
      SELECT DISTINCT f.tenant, f.gate FROM ${names.from('i', 1)}
      CROSS JOIN LATERAL (SELECT tenant, gate FROM millrace.flows WHERE tenant = i.tenant AND seq = i.seq LIMIT 1) AS f
    ) AS f JOIN millrace.gates g ON g.tenant = f.tenant AND g.gate = f.gate ORDER BY g.tenant, g.gate FOR UPDATE OF g`,
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
  }

  /** A job that held a place has ended: those who waited for it begin. */
  async ended({ tenant, seq }: JobName, now: number): Promise<void> {
    const next = await this.run(depart(tenant, seq))
    if (next.length === 0) return
    for (const place of (await this.change<ReadyRow>(admit, [tenant, numbers(next), now, this.#context.writer(Writer.other)])).map(
      readyOf,
    )) {
      this.ready.push(place)
      this.changes.push({ tenant, seq: place.seq, state: JobState.pending, cause: 'other' })
    }
  }
}

/** Carries out work on jobs that have to do with others, in one transaction, and tells of it. */
export async function withFlow<T>(context: Context, work: (flow: FlowWork) => Promise<T>): Promise<T> {
  const { result, flow } = await context.db.transaction(async (transaction) => {
    const flow = new FlowWork(context, transaction)
    return { result: await work(flow), flow }
  })
  await context.announce(flow)
  return result
}

/** Carries out a program each of whose statements stands alone. */
export function runAlone<T>({ db }: Context, program: Program<T>): Promise<T> {
  return carryOut(program, (text, values) => db.objects<object>({ name: nameOf(text), text, repeatable: true }, values))
}

/** What a claimed job's handler is given beside its payload. */
export async function withInputs(context: Context, scope: Scope, job: ClaimedJob, now: number): Promise<ClaimedJob> {
  const given: { stateKey?: string; state?: Content } = await runAlone(context, take(scope, job.seq, now))
  return { ...job, ...given }
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
