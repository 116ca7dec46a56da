import { MillraceError } from '../../errors.ts'
import { type ClaimedStage, type Content, JobState, type NewPipeline, type Scope, type Seq, type TenantId } from '../ports.ts'
import { type Aftermath, noAftermath } from './aftermath.ts'
import type { ListCache } from './list-cache.ts'
import { type PipelineRow, PipelineRun, resultRow, type StageEnd } from './pipeline-run.ts'
import { forEach, insertRows, type Program, query } from './program.ts'
import { noItem, resultSize, stageResult } from './stage-results.ts'

/** A job's place in a pipeline. */
interface PlaceRow {
  readonly pipeline: Seq
  readonly stage: number
  readonly item: number | null
}

/** Results that come with a job, in bytes together; larger ones are fetched. */
const mostInputBytes = 256 * 1024

const pipelineColumns = 'tenant, seq, state, go_on, deadline, stages_left, failed'

/** Where a job is in a pipeline; undefined when it is in none. */
export function* placeOf(tenant: TenantId, seq: Seq): Program<PlaceRow | undefined> {
  const [place] = yield* query<PlaceRow>('SELECT pipeline, stage, item FROM millrace.stage_jobs WHERE tenant = $1 AND seq = $2', [
    tenant,
    seq,
  ])
  return place
}

/** A new pipeline, whose jobs are there: `jobs` by the stages' positions, absent for those with lists. */
export function* createPipeline(
  { tenant, namespace }: Scope,
  seq: Seq,
  pipeline: NewPipeline,
  jobs: readonly (Seq | undefined)[],
  now: number,
): Program<Aftermath> {
  const out = noAftermath()
  const { stages, timeoutMs } = pipeline
  const deadline = timeoutMs > 0 ? now + timeoutMs : null
  const row: PipelineRow = {
    tenant,
    seq,
    state: JobState.running,
    go_on: pipeline.continueOnFailure ? 1 : 0,
    deadline,
    stages_left: stages.length,
    failed: 0,
  }
  const more = { namespace, name: pipeline.name, timeout_ms: timeoutMs, created_at: now, stage_count: stages.length, events: 0, reason: '' }
  yield* insertRows('pipelines', [{ ...row, ...more }])
  const dependents = stages.map((): number[] => [])
  stages.forEach(({ dependsOn }, stage) => {
    for (const other of dependsOn) dependents[other]!.push(stage)
  })
  const free = (stage: number) => stages[stage]!.dependsOn.length === 0
  yield* insertRows(
    'stages',
    stages.map(({ name, task, dependsOn, forEach: list }, stage) => ({
      tenant,
      pipeline: seq,
      stage,
      name,
      state: jobs[stage] !== undefined && free(stage) ? JobState.pending : JobState.blocked,
      function: task.function,
      task: JSON.stringify(task),
      job: jobs[stage] ?? null,
      waits: dependsOn.length,
      dependencies: JSON.stringify(dependsOn),
      dependents: JSON.stringify(dependents[stage]),
      for_each: typeof list === 'number' ? list : null,
      list: typeof list === 'object' ? list : null,
    })),
  )
  const run = new PipelineRun(row, now, out)
  const lists: number[] = []
  for (const [stage] of stages.entries()) {
    if (free(stage) && jobs[stage] === undefined) lists.push(stage)
    else run.tell({ stage, state: free(stage) ? JobState.pending : JobState.blocked })
  }
  for (const end of yield* run.begin(lists)) yield* run.end(end.stage, end)
  yield* run.save()
  return out
}

/** A stage's job was taken by a worker: what it is told. */
export function* takeStage(
  tenant: TenantId,
  { pipeline, stage }: Pick<PlaceRow, 'pipeline' | 'stage'>,
  now: number,
  lists: ListCache,
): Program<ClaimedStage> {
  const [begun] = yield* query(
    `UPDATE millrace.stages SET state = ${JobState.running}, started_at = coalesce(started_at, $4)
      WHERE tenant = $1 AND pipeline = $2 AND stage = $3 AND state = ${JobState.pending} RETURNING stage`,
    [tenant, pipeline, stage, now],
  )
  if (begun) {
    const run = new PipelineRun((yield* rowOf(tenant, pipeline))!, now, noAftermath())
    run.tell({ stage, state: JobState.running })
    yield* run.save()
  }
  const [row] = yield* query<{ name: string; dependencies: string }>(
    'SELECT name, dependencies FROM millrace.stages WHERE tenant = $1 AND pipeline = $2 AND stage = $3',
    [tenant, pipeline, stage],
  )
  const stages = yield* forEach<{ stage: number; name: string; items: number | null; finished_at: number }>(
    JSON.parse(row!.dependencies) as number[],
    [tenant, pipeline],
    (list) => `SELECT stage, name, items, finished_at FROM millrace.stages WHERE tenant = $1 AND pipeline = $2 AND stage IN ${list}`,
  )
  const inputs: { stage: string; result?: Content }[] = []
  let bytes = 0
  for (const { stage, name, items, finished_at } of stages) {
    bytes += yield* resultSize({ tenant, pipeline, stage, finishedAt: items === null ? undefined : finished_at }, lists)
    inputs.push({ stage: name, result: bytes <= mostInputBytes ? yield* stageResult(tenant, pipeline, stage, lists) : undefined })
  }
  return { pipeline, name: row!.name, inputs }
}

/** Jobs of stages were taken: what each worker is told. The jobs of one stage are told the same, which is looked up once. */
export function* takeStages(tenant: TenantId, seqs: readonly Seq[], now: number, lists: ListCache): Program<Map<Seq, ClaimedStage>> {
  const places = yield* forEach<{ seq: Seq; pipeline: Seq; stage: number }>(
    seqs,
    [tenant],
    (list) => `SELECT seq, pipeline, stage FROM millrace.stage_jobs WHERE tenant = $1 AND seq IN ${list}`,
  )
  const stages = new Map<string, ClaimedStage>()
  const taken = new Map<Seq, ClaimedStage>()
  for (const { seq, pipeline, stage } of places) {
    const key = `${pipeline} ${stage}`
    const told = stages.get(key) ?? (yield* takeStage(tenant, { pipeline, stage }, now, lists))
    stages.set(key, told)
    taken.set(seq, told)
  }
  return taken
}

/** A stage's job has ended: the stage with it, unless other items of its list have not. */
export function* endStageJob(
  tenant: TenantId,
  { pipeline, stage, item }: PlaceRow,
  end: StageEnd & { readonly result?: Content },
  now: number,
): Program<Aftermath> {
  const out = noAftermath()
  const row = yield* rowOf(tenant, pipeline)
  if (!row || row.state !== JobState.running) return out
  if (end.state === JobState.completed) {
    const result = end.result ?? { data: new Uint8Array(), contentType: '' }
    yield* insertRows('stage_results', [resultRow({ tenant, pipeline, stage, item: item ?? noItem }, result)])
  }
  const run = new PipelineRun(row, now, out)
  if (item === null) yield* run.end(stage, end)
  else {
    const bad = end.state === JobState.completed ? 0 : 1
    const [left] = yield* query<{ items_left: number; failed: number }>(
      `UPDATE millrace.stages SET items_left = items_left - 1, failed = failed + $4, error = coalesce(error, $5)
        WHERE tenant = $1 AND pipeline = $2 AND stage = $3 RETURNING items_left, failed`,
      [tenant, pipeline, stage, bad, end.error ?? null],
    )
    if (left!.items_left > 0) return out
    yield* run.end(stage, { state: left!.failed > 0 ? JobState.failed : JobState.completed })
  }
  yield* run.save()
  return out
}

/** Cancels a pipeline with all that has not ended. */
export function* cancelPipeline(scope: Scope, seq: Seq, reason: string, now: number): Program<Aftermath> {
  const row = yield* find(scope, seq)
  if (row.state !== JobState.running) throw wrongState('cancelled', row.state)
  const out = noAftermath()
  yield* new PipelineRun(row, now, out).abandon(JobState.cancelled, reason)
  return out
}

/** Pipelines whose time is over. */
export function* overduePipelines(now: number, limit: number): Program<readonly { readonly tenant: TenantId; readonly seq: Seq }[]> {
  return yield* query(
    'SELECT tenant, seq FROM millrace.pipelines WHERE deadline <= $1 AND finished_at IS NULL ORDER BY deadline LIMIT $2',
    [now, limit],
  )
}

/** Ends a pipeline whose time is over. */
export function* expirePipeline(tenant: TenantId, seq: Seq, now: number): Program<Aftermath> {
  const out = noAftermath()
  const row = yield* rowOf(tenant, seq)
  if (row?.state !== JobState.running || row.deadline === null || row.deadline > now) return out
  yield* new PipelineRun(row, now, out).abandon(JobState.failed, 'The pipeline took longer than its timeout.')
  return out
}

/** When the next pipeline's time is over. */
export function* nextDeadline(): Program<number | undefined> {
  const [row] = yield* query<{ deadline: number | null }>(
    'SELECT min(deadline) AS deadline FROM millrace.pipelines WHERE deadline IS NOT NULL AND finished_at IS NULL',
    [],
  )
  return row?.deadline ?? undefined
}

/** Runs what did not complete again. */
export function* retryPipeline(scope: Scope, seq: Seq, now: number): Program<Aftermath> {
  const { tenant } = scope
  const row = yield* find(scope, seq)
  if (row.state !== JobState.failed && row.state !== JobState.cancelled) throw wrongState('run again', row.state)
  const out = noAftermath()
  const open = yield* query<{ stage: number; job: Seq | null; dependencies: string; items: number | null; timeout_ms: number }>(
    `SELECT stage, job, dependencies, items, (SELECT timeout_ms FROM millrace.pipelines p WHERE p.tenant = $1 AND p.seq = $2) AS timeout_ms
      FROM millrace.stages WHERE tenant = $1 AND pipeline = $2 AND state <> ${JobState.completed} ORDER BY stage`,
    [tenant, seq],
  )
  const numbers = new Set(open.map(({ stage }) => stage))
  const deadline = open[0]!.timeout_ms > 0 ? now + open[0]!.timeout_ms : null
  const run = new PipelineRun({ ...row, deadline, stages_left: open.length, failed: 0 }, now, out)
  yield* query("UPDATE millrace.pipelines SET deadline = $3, reason = '' WHERE tenant = $1 AND seq = $2", [tenant, seq, deadline])
  run.tell({ state: JobState.running })
  const unlisted: number[] = []
  for (const { stage, job, dependencies, items } of open) {
    const waits = (JSON.parse(dependencies) as number[]).filter((other) => numbers.has(other)).length
    const again = items === null ? [] : yield* unfinishedItems(tenant, seq, stage)
    const state = waits === 0 && (job !== null || items !== null) ? JobState.pending : JobState.blocked
    yield* query(
      `UPDATE millrace.stages SET state = $4, waits = $5, failed = 0, items_left = $6, started_at = NULL, finished_at = NULL, error = NULL
        WHERE tenant = $1 AND pipeline = $2 AND stage = $3`,
      [tenant, seq, stage, state, waits, again.length],
    )
    if (job !== null) out.restart.push({ seq: job, blocked: waits > 0 })
    out.restart.push(...again.map((item) => ({ seq: item, blocked: false })))
    if (waits === 0 && state === JobState.blocked) unlisted.push(stage)
    else run.tell({ stage, state })
  }
  for (const end of yield* run.begin(unlisted)) yield* run.end(end.stage, end)
  yield* run.save()
  return out
}

function* unfinishedItems(tenant: TenantId, pipeline: Seq, stage: number): Program<readonly Seq[]> {
  const rows = yield* query<{ seq: Seq }>(
    `SELECT seq FROM millrace.stage_jobs j WHERE tenant = $1 AND pipeline = $2 AND stage = $3 AND NOT EXISTS
      (SELECT 1 FROM millrace.stage_results r WHERE r.tenant = $1 AND r.pipeline = $2 AND r.stage = $3 AND r.item = j.item) ORDER BY item`,
    [tenant, pipeline, stage],
  )
  return rows.map(({ seq }) => seq)
}

function* rowOf(tenant: TenantId, seq: Seq): Program<PipelineRow | undefined> {
  const [row] = yield* query<PipelineRow>(`SELECT ${pipelineColumns} FROM millrace.pipelines WHERE tenant = $1 AND seq = $2`, [tenant, seq])
  return row
}

function* find({ tenant, namespace }: Scope, seq: Seq): Program<PipelineRow> {
  const [row] = yield* query<PipelineRow>(
    `SELECT ${pipelineColumns} FROM millrace.pipelines WHERE tenant = $1 AND seq = $2 AND namespace = $3`,
    [tenant, seq, namespace],
  )
  if (row) return row
  throw new MillraceError('NOT_FOUND', 'There is no such pipeline in this namespace.', { resource: 'pipeline' })
}

const stateNames = Object.fromEntries(Object.entries(JobState).map(([name, state]) => [state, name]))

function wrongState(wanted: string, state: JobState): MillraceError {
  return new MillraceError('FAILED_PRECONDITION', `The pipeline is ${stateNames[state]} and cannot be ${wanted}.`)
}
