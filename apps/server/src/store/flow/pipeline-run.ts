import { type Content, JobState, type NewJob, type Seq, type StageTask, type TenantId } from '../ports.ts'
import type { Aftermath } from './aftermath.ts'
import { forEach, insertRows, type Program, query } from './program.ts'
import { itemsOf, itemsOfResult } from './stage-results.ts'

/** A pipeline under change. */
export interface PipelineRow {
  readonly tenant: TenantId
  readonly seq: Seq
  readonly state: JobState
  readonly go_on: number
  readonly deadline: number | null
  readonly stages_left: number
  readonly failed: number
}

interface StageRow {
  readonly stage: number
  readonly job: Seq | null
  readonly for_each: number | null
  readonly list: Uint8Array | null
  readonly task: string
}

interface Event {
  /** Null: the whole pipeline. */
  readonly stage: number | null
  readonly state: JobState
  readonly error: string | null
}

/** How a stage ends. */
export interface StageEnd {
  readonly state: typeof JobState.completed | typeof JobState.failed | typeof JobState.cancelled
  /** JSON of a job's error. */
  readonly error?: string
}

/**
 * What happens to one pipeline in one transaction: stages end and begin, and those that follow from it. What it costs
 * depends on the stages concerned, not on how many there are: each knows how many it waits for.
 */
export class PipelineRun {
  readonly #row: PipelineRow
  readonly #now: number
  readonly #out: Aftermath
  readonly #events: Event[] = []
  #left: number
  #failed: number

  constructor(row: PipelineRow, now: number, out: Aftermath) {
    this.#row = row
    this.#now = now
    this.#out = out
    this.#left = row.stages_left
    this.#failed = row.failed
  }

  tell(event: { stage?: number; state: JobState; error?: string }): void {
    this.#events.push({ stage: event.stage ?? null, state: event.state, error: event.error ?? null })
  }

  /** A stage has ended. */
  *end(stage: number, { state, error }: StageEnd): Program<void> {
    const ended = [{ stage, state, error }]
    // Stages that end as soon as they begin are ended in turn, without a stack that grows with the graph.
    for (let next = ended.shift(); next; next = ended.shift()) {
      const [row] = yield* query<{ dependents: string }>(
        `UPDATE millrace.stages SET state = $4, finished_at = $5, error = coalesce($6, error)
          WHERE tenant = $1 AND pipeline = $2 AND stage = $3 AND state < ${JobState.completed} RETURNING dependents`,
        [...this.#name(), next.stage, next.state, this.#now, next.error ?? null],
      )
      // Skipped already: by another that began and failed with it.
      if (!row) continue
      this.tell(next)
      this.#left--
      const dependents = JSON.parse(row.dependents) as number[]
      if (next.state === JobState.completed) {
        const ready = yield* forEach<{ stage: number; waits: number; state: JobState }>(
          dependents,
          this.#name(),
          (list) =>
            `UPDATE millrace.stages SET waits = waits - 1 WHERE tenant = $1 AND pipeline = $2 AND stage IN ${list} RETURNING stage, waits, state`,
        )
        const begin = ready.filter(({ waits, state }) => waits === 0 && state === JobState.blocked).map(({ stage }) => stage)
        ended.push(...(yield* this.begin(begin)))
        continue
      }
      this.#failed++
      if (this.#row.go_on) yield* this.#skipDependents(dependents)
      else yield* this.#skipUnbegun()
    }
  }

  /** Stages that wait for nothing begin. Returns those that end at once, for want of items or of a list. */
  *begin(stages: readonly number[]): Program<(StageEnd & { stage: number; error: string | undefined })[]> {
    const rows = yield* forEach<StageRow>(
      stages,
      [...this.#name(), JobState.pending],
      (list) =>
        `UPDATE millrace.stages SET state = $3 WHERE tenant = $1 AND pipeline = $2 AND stage IN ${list} RETURNING stage, job, for_each, list, task`,
    )
    const ended: (StageEnd & { stage: number; error: string | undefined })[] = []
    for (const row of rows.sort((a, b) => a.stage - b.stage)) {
      this.tell({ stage: row.stage, state: JobState.pending })
      if (row.job !== null) {
        this.#out.start.push(row.job)
        continue
      }
      const items = yield* this.#items(row)
      if (typeof items === 'string') ended.push({ stage: row.stage, state: JobState.failed, error: errorOf(items) })
      else if (items.length === 0) ended.push({ stage: row.stage, state: JobState.completed, error: undefined })
      else this.#add(row, items)
      const count = typeof items === 'string' ? null : items.length
      yield* query('UPDATE millrace.stages SET items = $4, items_left = $5 WHERE tenant = $1 AND pipeline = $2 AND stage = $3', [
        ...this.#name(),
        row.stage,
        count,
        count ?? 0,
      ])
    }
    return ended
  }

  /** All that has not ended ends, with the pipeline. */
  *abandon(state: typeof JobState.failed | typeof JobState.cancelled, reason: string): Program<void> {
    const open = yield* query<{ stage: number }>(
      `UPDATE millrace.stages SET state = ${JobState.cancelled}, finished_at = $3
        WHERE tenant = $1 AND pipeline = $2 AND state < ${JobState.completed} RETURNING stage`,
      [...this.#name(), this.#now],
    )
    const jobs = yield* query<{ seq: Seq }>('SELECT seq FROM millrace.stage_jobs WHERE tenant = $1 AND pipeline = $2', this.#name())
    this.#out.cancel.push(...jobs.map(({ seq }) => seq))
    for (const { stage } of [...open].sort((a, b) => a.stage - b.stage)) this.tell({ stage, state: JobState.cancelled })
    this.#left = 0
    yield* query('UPDATE millrace.pipelines SET reason = $3 WHERE tenant = $1 AND seq = $2', [...this.#name(), reason])
    yield* this.save(state)
  }

  /** Writes what came of it. @param ended - how the pipeline ends whatever its stages did. */
  *save(ended?: JobState): Program<void> {
    const own = this.#failed > 0 ? JobState.failed : JobState.completed
    const state = this.#left > 0 ? JobState.running : (ended ?? own)
    if (this.#left === 0) this.tell({ state })
    const [row] = yield* query<{ events: number }>(
      `UPDATE millrace.pipelines SET state = $3, stages_left = $4, failed = $5, finished_at = $6, events = events + $7
        WHERE tenant = $1 AND seq = $2 RETURNING events`,
      [...this.#name(), state, this.#left, this.#failed, this.#left === 0 ? this.#now : null, this.#events.length],
    )
    const first = row!.events - this.#events.length + 1
    yield* insertRows(
      'pipeline_events',
      this.#events.map((event, i) => ({ tenant: this.#row.tenant, pipeline: this.#row.seq, event: first + i, at: this.#now, ...event })),
    )
    const deadline = this.#left > 0 ? (this.#row.deadline ?? undefined) : undefined
    this.#out.pipelines.push({ seq: this.#row.seq, state, deadline })
  }

  /** Another stage failed: those that have not begun do not begin. */
  *#skipUnbegun(): Program<void> {
    const skipped = yield* query<{ stage: number; job: Seq | null }>(
      `UPDATE millrace.stages SET state = ${JobState.cancelled}, finished_at = $3
        WHERE tenant = $1 AND pipeline = $2 AND state IN (${JobState.pending}, ${JobState.blocked}) RETURNING stage, job`,
      [...this.#name(), this.#now],
    )
    yield* this.#skipped(skipped)
  }

  /** Those that depend on a stage that failed cannot begin, nor can those that depend on them. */
  *#skipDependents(dependents: readonly number[]): Program<void> {
    for (let next: readonly number[] = dependents; next.length > 0; ) {
      const skipped = yield* forEach<{ stage: number; job: Seq | null; dependents: string }>(
        next,
        [...this.#name(), this.#now],
        (list) => `UPDATE millrace.stages SET state = ${JobState.cancelled}, finished_at = $3
          WHERE tenant = $1 AND pipeline = $2 AND state = ${JobState.blocked} AND stage IN ${list} RETURNING stage, job, dependents`,
      )
      yield* this.#skipped(skipped)
      next = [...new Set(skipped.flatMap((row) => JSON.parse(row.dependents) as number[]))]
    }
  }

  *#skipped(rows: readonly { readonly stage: number; readonly job: Seq | null }[]): Program<void> {
    const jobs: Seq[] = []
    for (const { stage, job } of [...rows].sort((a, b) => a.stage - b.stage)) {
      this.tell({ stage, state: JobState.cancelled })
      this.#left--
      if (job !== null) jobs.push(job)
      else {
        const items = yield* query<{ seq: Seq }>('SELECT seq FROM millrace.stage_jobs WHERE tenant = $1 AND pipeline = $2 AND stage = $3', [
          ...this.#name(),
          stage,
        ])
        jobs.push(...items.map(({ seq }) => seq))
      }
    }
    this.#drop(new Set(rows.map(({ stage }) => stage)), jobs)
  }

  /** Jobs of stages that do not begin end; those that were to begin, or to be made, by what came before do not. */
  #drop(stages: ReadonlySet<number>, jobs: readonly Seq[]): void {
    const { cancel, restart, add } = this.#out
    cancel.push(...jobs)
    const own = new Set(jobs)
    restart.splice(0, restart.length, ...restart.filter(({ seq }) => !own.has(seq)))
    add.splice(0, add.length, ...add.filter(({ stage }) => !stages.has(stage!.stage)))
  }

  *#items({ for_each, list }: StageRow): Program<readonly Uint8Array[] | string> {
    return list === null ? yield* itemsOfResult(this.#row.tenant, this.#row.seq, for_each!) : itemsOf(list)
  }

  #add({ stage, task }: StageRow, items: readonly Uint8Array[]): void {
    const common = JSON.parse(task) as StageTask
    items.forEach((payload, item) => {
      const job: NewJob = {
        ...common,
        payload,
        contentType: '',
        headers: {},
        idempotencyKey: '',
        stage: { pipeline: this.#row.seq, stage, item, blocked: false },
      }
      this.#out.add.push(job)
    })
  }

  #name(): [TenantId, Seq] {
    return [this.#row.tenant, this.#row.seq]
  }
}

function errorOf(message: string): string {
  return JSON.stringify({ message, code: 'for_each', stack: '' })
}

/** Bytes of a result, for those who keep it. */
export function resultRow(name: { tenant: TenantId; pipeline: Seq; stage: number; item: number }, { data, contentType }: Content) {
  return { ...name, data, content_type: contentType || null }
}
