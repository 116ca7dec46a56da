import { MillraceError } from '../../errors.ts'
import { flowKindOf } from '../flow/flows.ts'
import { type EnqueueRequest, type EnqueueResult, type JobChange, JobState } from '../ports.ts'
import { columns } from './arrays.ts'
import type { Context } from './context.ts'
import { Writer } from './counts.ts'
import type { Statement } from './database.ts'
import { enterLines, expires, markFlows, noteExpiries } from './enqueue-flow.ts'
import { EnqueuePlan, type Known, type PlannedJob, storedRequestId } from './enqueue-plan.ts'
import { askedQueues, loadQueues, readDepths, readFirstUses } from './enqueue-read.ts'
import { writeOf } from './enqueue-rows.ts'
import { isDisconnected, violatedConstraint } from './errors.ts'
import { withFlow } from './flow.ts'
import type { Rider } from './handoff.ts'
import type { ReadyLane } from './heads.ts'
import { type Pending, Pipeline } from './pipeline.ts'

/** A batch is closed at this many jobs, … */
const mostJobs = 1000
/** … or as many as this much payload stands for. */
const bytesPerJob = 8 * 1024
/** How often a batch is planned and written anew when other nodes came first with its keys. */
const attempts = 5

const askedRequests = columns<EnqueueRequest>({ tenant: ['int', ({ scope }) => scope.tenant], id: ['text', storedRequestId] })
const readRequests: Statement = {
  name: 'enqueue_requests',
  repeatable: true,
  text: `
    SELECT i.tenant, i.id, r.outcome FROM ${askedRequests.from('i', 1)}
    CROSS JOIN LATERAL (SELECT outcome FROM millrace.requests WHERE tenant = i.tenant AND id = i.id LIMIT 1) AS r`,
}

const exists: Statement = {
  name: 'enqueue_exists',
  repeatable: true,
  text: `SELECT 1 WHERE EXISTS (SELECT FROM millrace.jobs WHERE tenant = $1 AND seq = $2)
    OR EXISTS (SELECT FROM millrace.completed WHERE tenant = $1 AND seq = $2)`,
}

type Waiting = Pending<EnqueueRequest, EnqueueResult>

/** Adds jobs. */
export class Enqueue {
  readonly #context: Context
  readonly #pipeline: Pipeline<EnqueueRequest, EnqueueResult>

  constructor(context: Context) {
    this.#context = context
    this.#pipeline = new Pipeline({
      run: (batch, lane) => this.#run(batch, lane),
      weigh: ({ jobs }) => jobs.reduce((weight, { payload }) => weight + 1 + Math.floor(payload.length / bytesPerJob), 0),
      most: mostJobs,
      width: 2,
    })
  }

  run(request: EnqueueRequest): Promise<EnqueueResult> {
    return this.#pipeline.add(request)
  }

  close(): Promise<void> {
    return this.#pipeline.close()
  }

  async #run(batch: readonly Waiting[], lane: number): Promise<void> {
    const requests = batch.map(({ request }) => request)
    let riders: readonly Rider[] | undefined
    try {
      for (let attempt = 1; ; attempt++) {
        const { sequence, lanes, nodes, options, handoff } = this.#context
        // A number for each job, a token if it begins at once, and one for the batch.
        await nodes.reserve(requests.reduce((count, { jobs }) => count + 2 * jobs.length + 1, 0))
        // That a request was carried out before is rare: it is looked for when the database says so, or when it would be refused.
        const repeated = attempt > 1
        const plan = new EnqueuePlan(await this.#read(requests, repeated), lanes, () => sequence.next(), options)
        const outcomes = requests.map((request) => attemptOf(() => plan.add(request)))
        if (!repeated && plan.requests.size < requests.filter(({ requestId }) => requestId !== '').length) continue
        await lanes.store([...new Set(plan.jobs.map((job) => job.lane))], requests[0]!.now)
        riders ??= handoff.offer(plan.jobs)
        handoff.assign(riders, plan.jobs)
        if (!(await this.#write(plan, lane))) {
          if (attempt < attempts) continue
          throw new MillraceError('UNAVAILABLE', 'Others use the same idempotency keys at the same time: try again.', { retryAfterMs: 100 })
        }
        await this.#announce(plan)
        for (const { resolve, takers } of riders) resolve(takers.map(({ jobs }) => jobs))
        for (const [i, caller] of batch.entries()) {
          const outcome = outcomes[i]!
          if ('error' in outcome) caller.reject(outcome.error)
          else caller.resolve(outcome.value)
        }
        return
      }
    } catch (error) {
      for (const rider of riders ?? []) rider.reject(error)
      throw error
    }
  }

  async #read(requests: readonly EnqueueRequest[], repeated: boolean): Promise<Known> {
    const asked = askedQueues(requests)
    const queues = await loadQueues(this.#context, asked)
    const [keys, remembered] = await Promise.all([
      readFirstUses(this.#context.db, requests, queues),
      repeated ? this.#readRequests(requests) : new Map<string, string>(),
      readDepths(this.#context, asked, queues),
    ])
    return { queues, keys, requests: remembered }
  }

  async #readRequests(requests: readonly EnqueueRequest[]): Promise<ReadonlyMap<string, string>> {
    const named = requests.filter((request) => request.requestId !== '')
    const found = new Map<string, string>()
    if (named.length === 0) return found
    for (const [tenant, id, outcome] of await this.#context.db.run<[number, string, string]>(readRequests, askedRequests.values(named))) {
      found.set(`${tenant} ${id}`, outcome)
    }
    return found
  }

  /**
   * Writes the plan in one transaction; false when other nodes used its keys meanwhile. When the connection breaks under it,
   * the numbers of its jobs tell whether it was carried out: they are never given twice.
   */
  async #write(plan: EnqueuePlan, lane: number): Promise<boolean> {
    const { db } = this.#context
    const [first] = plan.jobs
    if (!first && plan.requests.size === 0) return true
    const write = () => this.#carryOut(plan, this.#context.writer(Writer.enqueue + lane))
    try {
      await write()
    } catch (error) {
      const violated = violatedConstraint(error)
      if (violated === 'idempotency_pkey' || violated === 'requests_pkey') return false
      if (!first || !isDisconnected((error as Error).cause)) throw error
      const isThere = async () => (await db.run(exists, [first.lane.queue.tenant, first.seq])).length > 0
      if (await isThere()) return true
      try {
        await write()
      } catch (again) {
        // It was carried out after all, a moment later; or its caller had asked another node meanwhile.
        if (violatedConstraint(again) === undefined) throw again
        return isThere()
      }
    }
    return true
  }

  async #carryOut(plan: EnqueuePlan, writer: number): Promise<void> {
    const flowing = plan.jobs.filter(({ job }) => flowKindOf(job) !== undefined)
    if (flowing.length === 0 && !plan.jobs.some(expires)) {
      const { statement, values } = writeOf(plan, writer)
      await this.#context.db.run(statement, values)
      return
    }
    await withFlow(this.#context, async (flow) => {
      await enterLines(flow, flowing)
      const { statement, values } = writeOf(plan, writer)
      await flow.change(statement, values)
      await markFlows(flow, flowing)
      await noteExpiries(flow, plan.jobs)
    })
  }

  #announce({ jobs }: EnqueuePlan): Promise<void> {
    const ready: ReadyLane[] = []
    const changes: JobChange[] = []
    let due: PlannedJob | undefined
    for (const planned of jobs) {
      const { tenant } = planned.lane.queue
      if (planned.taken) changes.push({ tenant, seq: planned.seq, state: JobState.running, cause: 'other' })
      else this.#context.lanes.added(planned.lane.queue)
      if (planned.blocked) continue
      if (!planned.scheduled && !planned.taken) ready.push(positionOf(planned))
      else if (!planned.scheduled) continue
      else if (!due || planned.job.runAt! < due.job.runAt!) due = planned
    }
    return this.#context.announce({
      ready,
      changes,
      // So that others see to it if this node dies.
      elsewhere: due && [{ tenant: due.lane.queue.tenant, seq: due.seq, state: JobState.scheduled, cause: 'other', dueAt: due.job.runAt }],
    })
  }
}

function positionOf({ job, seq, lane }: PlannedJob): ReadyLane {
  return { tenant: lane.queue.tenant, lane: lane.number, rank: -job.priority, seq }
}

function attemptOf<T>(run: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: run() }
  } catch (error) {
    return { error }
  }
}
