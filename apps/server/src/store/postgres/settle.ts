import { MillraceError } from '../../errors.ts'
import { FlowKind } from '../flow/flows.ts'
import { attestedMark, JobState, type Scope, type SettleAction, type SettleItem, type SettleOutcome } from '../ports.ts'
import { done, notProven, notStateful, repeats, staleLease, unknownJob } from '../settle-rules.ts'
import { columns } from './arrays.ts'
import { completeFlowJobs, completeJobs } from './complete.ts'
import type { Context } from './context.ts'
import { Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { type Ending, endAttempts, planFailures } from './ending.ts'
import { jobKey, type Lease, leaseColumns } from './held.ts'
import { type Pending, Pipeline } from './pipeline.ts'
import { addLogLines, keepProgress, renewLeases } from './tending.ts'

/** One caller's settlements. */
interface Request {
  readonly scope: Scope
  readonly items: readonly SettleItem[]
  readonly now: number
}

/** One of them. */
interface Entry extends Lease {
  readonly action: SettleAction
  /** It has to do with others; found out when the way of all others does not suit it. */
  flow?: boolean
  outcome?: SettleOutcome
  /** The storage failed under it. */
  failed?: boolean
}

/** Those of one type, as the type's own statement takes them. */
type EntryOf<Type extends SettleAction['type']> = Entry & { readonly action: Extract<SettleAction, { type: Type }> }

const mostItems = 1000
/** How often an item is tried whose job somebody else changes at the same time. */
const attempts = 5

const leases = columns<Lease>(leaseColumns)
/** Where jobs are whose lease was not found current. */
const look: Statement = {
  name: 'settle_look',
  repeatable: true,
  text: `
    SELECT j.tenant, j.seq, j.token, j.state, j.flow, l.function FROM ${leases.from('i', 1)}
    CROSS JOIN LATERAL (
      SELECT tenant, seq, lane, token, state, flow FROM millrace.jobs WHERE tenant = i.tenant AND seq = i.seq
      UNION ALL
      SELECT tenant, seq, lane, token, ${JobState.completed}::smallint, flow FROM millrace.completed WHERE tenant = i.tenant AND seq = i.seq
    ) AS j
    JOIN millrace.lanes l ON l.tenant = j.tenant AND l.lane = j.lane AND l.namespace = i.namespace`,
}

/** Ends attempts, well or badly, and keeps leases alive. */
export class Settle {
  readonly #context: Context
  readonly #pipeline: Pipeline<Request, readonly SettleOutcome[]>

  constructor(context: Context) {
    this.#context = context
    this.#pipeline = new Pipeline({
      run: (batch) => this.#run(batch),
      weigh: ({ items }) => items.length,
      most: mostItems,
      // In the order in which they came: a job's progress before its completion.
      width: 1,
    })
  }

  run(scope: Scope, items: readonly SettleItem[], now: number): Promise<readonly SettleOutcome[]> {
    return this.#pipeline.add({ scope, items, now })
  }

  close(): Promise<void> {
    return this.#pipeline.close()
  }

  async #run(batch: readonly Pending<Request, readonly SettleOutcome[]>[]): Promise<void> {
    const entries = batch.map(({ request: { scope, items, now } }) => items.map((item): Entry => ({ scope, now, ...item })))
    for (const round of roundsOf(entries.flat())) await this.#round(round)
    batch.forEach((caller, i) => {
      const own = entries[i]!
      if (own.length > 0 && own.every((entry) => entry.failed)) caller.reject(own[0]!.outcome!.error)
      else caller.resolve(own.map((entry) => entry.outcome!))
    })
  }

  /** Settles entries of different jobs. */
  async #round(entries: readonly Entry[]): Promise<void> {
    let left = entries
    for (let attempt = 1; left.length > 0; attempt++) {
      await Promise.all([
        this.#guard(of(left, 'complete'), (each) => this.#complete(each)),
        this.#guard([...of(left, 'fail'), ...of(left, 'release')], (each) => this.#end(each)),
        this.#guard(of(left, 'renew'), (each) => this.#renew(each)),
        this.#guard(of(left, 'progress'), (each) => this.#progress(each)),
        this.#guard(of(left, 'log'), (each) => this.#log(each)),
      ])
      const refused = left.filter((entry) => !entry.outcome)
      await this.#guard(refused, (each) => this.#explain(each))
      left = refused.filter((entry) => !entry.outcome)
      if (attempt === attempts) for (const entry of left) Object.assign(entry, { outcome: busy, failed: true })
    }
  }

  /** A failure of the storage is the outcome of all; any other error is thrown. */
  async #guard<E extends Entry>(entries: readonly E[], settle: (entries: readonly E[]) => Promise<void>): Promise<void> {
    if (entries.length === 0) return
    try {
      await settle(entries)
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      for (const entry of entries) Object.assign(entry, { outcome: { error }, failed: true })
    }
  }

  async #complete(entries: readonly EntryOf<'complete'>[]): Promise<void> {
    const completions = (flow: boolean) =>
      entries
        .filter((entry) => (entry.flow === true) === flow && (flow || entry.action.state === undefined))
        .map((entry) => ({ ...leaseOf(entry), ...entry.action }))
    const [plain, flowing] = [completions(false), completions(true)]
    if (plain.length > 0) markDone(entries, await completeJobs(this.#context, plain))
    if (flowing.length > 0) markDone(entries, await completeFlowJobs(this.#context, flowing))
  }

  async #end(entries: readonly (EntryOf<'fail'> | EntryOf<'release'>)[]): Promise<void> {
    const failures = of(entries, 'fail').map((entry) => {
      const { error, noRetry, delayMs } = entry.action
      return { ...leaseOf(entry), error, noRetry, delayMs }
    })
    const releases = of(entries, 'release').map((entry): Ending => {
      return { ...leaseOf(entry), state: JobState.pending, uncounted: true, cause: 'settled', overdue: false }
    })
    const endings = failures.length > 0 ? [...(await planFailures(this.#context, failures)), ...releases] : releases
    markDone(entries, await endAttempts(this.#context, endings, Writer.end))
  }

  async #renew(entries: readonly EntryOf<'renew'>[]): Promise<void> {
    const renewals = entries.map((entry) => ({ ...leaseOf(entry), leaseMs: entry.action.leaseMs }))
    const renewed = await renewLeases(this.#context, renewals)
    for (const entry of entries) {
      const leaseExpiresAt = renewed.get(keyOf(entry))
      if (leaseExpiresAt !== undefined) entry.outcome = { leaseExpiresAt }
    }
  }

  async #progress(entries: readonly EntryOf<'progress'>[]): Promise<void> {
    const reports = entries.map((entry) => ({ ...leaseOf(entry), percent: entry.action.percent, message: entry.action.message }))
    markDone(entries, await keepProgress(this.#context, reports))
  }

  async #log(entries: readonly EntryOf<'log'>[]): Promise<void> {
    const logs = entries.map((entry) => ({ ...leaseOf(entry), entries: entry.action.entries }))
    markDone(entries, await addLogLines(this.#context, logs))
  }

  /** Says why entries were refused. One whose lease is current after all was in somebody's way; it stays without an outcome. */
  async #explain(entries: readonly Entry[]): Promise<void> {
    const rows = await this.#context.db.run<[number, number, number | null, JobState, number | null, string]>(look, leases.values(entries))
    const found = new Map(rows.map(([tenant, seq, token, state, flow, name]) => [jobKey(tenant, seq), { token, state, flow, name }]))
    for (const entry of entries) {
      const job = found.get(keyOf(entry))
      if (!job) entry.outcome = unknownJob
      else if (job.token !== entry.token) entry.outcome = staleLease
      else if (job.state !== JobState.running) entry.outcome = repeats(entry.action.type, job.state) ? done : staleLease
      else if (entry.action.type === 'complete' && entry.action.state !== undefined && job.flow !== FlowKind.stateful)
        entry.outcome = notStateful
      else if (entry.action.type === 'complete' && !entry.action.proven && job.name.endsWith(attestedMark)) entry.outcome = notProven
      else entry.flow = job.flow !== null
    }
  }
}

/** Entries in rounds, so that none has two of the same job: a job's own come one after the other. */
function* roundsOf(entries: readonly Entry[]): Iterable<readonly Entry[]> {
  let left = entries
  while (left.length > 0) {
    const seen = new Set<string>()
    const round: Entry[] = []
    const later: Entry[] = []
    for (const entry of left) {
      const key = keyOf(entry)
      if (seen.has(key)) later.push(entry)
      else round.push(entry)
      seen.add(key)
    }
    yield round
    left = later
  }
}

function of<Type extends SettleAction['type']>(entries: readonly Entry[], type: Type): EntryOf<Type>[] {
  return entries.filter((entry): entry is EntryOf<Type> => entry.action.type === type)
}

function leaseOf({ scope, seq, token, now }: Entry): Lease {
  return { scope, seq, token, now }
}

function keyOf({ scope, seq }: Entry): string {
  return jobKey(scope.tenant, seq)
}

function markDone(entries: readonly Entry[], settled: ReadonlySet<string>): void {
  for (const entry of entries) if (settled.has(keyOf(entry))) entry.outcome = done
}

const busy: SettleOutcome = {
  error: new MillraceError('UNAVAILABLE', 'Others change this job at the same time: try again.', { retryAfterMs: 100 }),
}
