import {
  type Content,
  JobState,
  type Page,
  type PipelineEvent,
  type PipelineRecord,
  type Retention,
  type Scope,
  type Seq,
  type StageRecord,
  type TenantId,
} from '../ports.ts'
import type { ListCache } from './list-cache.ts'
import { type Program, query } from './program.ts'
import { stageResult } from './stage-results.ts'

interface PipelineRow {
  readonly seq: Seq
  readonly name: string
  readonly state: JobState
  readonly go_on: number
  readonly stage_count: number
  readonly stages_left: number
  readonly created_at: number
  readonly finished_at: number | null
  readonly deadline: number | null
  readonly reason: string
}

interface StageRow {
  readonly name: string
  readonly state: JobState
  readonly job: Seq | null
  readonly function: string
  readonly dependencies: string
  readonly items: number | null
  readonly items_left: number
  readonly started_at: number | null
  readonly finished_at: number | null
  readonly error: string | null
}

const columns = 'seq, name, state, go_on, stage_count, stages_left, created_at, finished_at, deadline, reason'
/** Pipelines looked at for one page at most. */
const mostScanned = 5000

/** A pipeline with its stages. */
export function* readPipeline({ tenant, namespace }: Scope, seq: Seq): Program<PipelineRecord | undefined> {
  const [row] = yield* query<PipelineRow>(`SELECT ${columns} FROM millrace.pipelines WHERE tenant = $1 AND seq = $2 AND namespace = $3`, [
    tenant,
    seq,
    namespace,
  ])
  if (!row) return undefined
  const stages = yield* query<StageRow>(
    `SELECT name, state, job, function, dependencies, items, items_left, started_at, finished_at, error FROM millrace.stages
      WHERE tenant = $1 AND pipeline = $2 ORDER BY stage`,
    [tenant, seq],
  )
  return { ...recordOf(row), stages: stages.map(stageOf) }
}

/** Where a pipeline is in its life. */
export function* readPipelineState({ tenant, namespace }: Scope, seq: Seq): Program<JobState | undefined> {
  const [row] = yield* query<{ state: JobState }>(
    'SELECT state FROM millrace.pipelines WHERE tenant = $1 AND seq = $2 AND namespace = $3',
    [tenant, seq, namespace],
  )
  return row?.state
}

/** Pipelines without their stages, newest first. */
export function* listPipelines(
  { tenant, namespace }: Scope,
  filter: { readonly name?: string; readonly states?: readonly JobState[] },
  page: { readonly limit: number; readonly before?: Seq },
): Program<Page<PipelineRecord>> {
  const rows = yield* query<PipelineRow & { namespace: string }>(
    `SELECT ${columns}, namespace FROM millrace.pipelines WHERE tenant = $1 AND seq < $2 ORDER BY seq DESC LIMIT ${mostScanned}`,
    [tenant, page.before ?? Number.MAX_SAFE_INTEGER],
  )
  const items: PipelineRecord[] = []
  for (const row of rows) {
    if (items.length === page.limit) return { items, next: items.at(-1)!.seq }
    if (row.namespace !== namespace || (filter.name !== undefined && row.name !== filter.name)) continue
    if (filter.states?.length && !filter.states.includes(row.state)) continue
    items.push(recordOf(row))
  }
  return { items, next: rows.length === mostScanned ? rows.at(-1)!.seq : undefined }
}

/** What happened to a pipeline, in order. */
export function* readEvents(
  { tenant, namespace }: Scope,
  seq: Seq,
  page: { readonly limit: number; readonly after: number },
): Program<readonly PipelineEvent[]> {
  const rows = yield* query<{
    event: number
    stage: number | null
    name: string | null
    state: JobState
    at: number
    error: string | null
  }>(
    `SELECT e.event, e.stage, e.state, e.at, e.error,
        (SELECT s.name FROM millrace.stages s WHERE s.tenant = e.tenant AND s.pipeline = e.pipeline AND s.stage = e.stage) AS name
      FROM millrace.pipeline_events e WHERE e.tenant = $1 AND e.pipeline = $2 AND e.event > $3
        AND EXISTS (SELECT 1 FROM millrace.pipelines p WHERE p.tenant = $1 AND p.seq = $2 AND p.namespace = $4)
      ORDER BY e.event LIMIT $5`,
    [tenant, seq, page.after, namespace, page.limit],
  )
  return rows.map(({ event, stage, name, state, at, error }) => ({
    number: event,
    stage: stage ?? undefined,
    name: name ?? '',
    state,
    at,
    error: error === null ? undefined : JSON.parse(error),
  }))
}

/** The result of a completed stage. */
export function* readStageResult(scope: Scope, seq: Seq, stage: number, lists: ListCache): Program<Content | undefined> {
  const [own] = yield* query('SELECT seq FROM millrace.pipelines WHERE tenant = $1 AND seq = $2 AND namespace = $3', [
    scope.tenant,
    seq,
    scope.namespace,
  ])
  return own && (yield* stageResult(scope.tenant, seq, stage, lists))
}

/**
 * Of a pipeline `p`: that of its stages' tasks those that were cancelled are kept as long as failed ones, since it needs them to be
 * run again. (One that was cancelled itself is kept as long as they are.)
 */
export const mayBeRetried = `p.state IN (${JobState.running}, ${JobState.failed})`

/** Forgets pipelines past their retention; returns how many, at most `limit`. */
export function* sweepPipelines({ completedMs, failedMs, cancelledMs }: Retention, now: number, limit: number): Program<number> {
  let left = limit
  const kept = [
    [JobState.completed, completedMs],
    [JobState.failed, failedMs],
    [JobState.cancelled, cancelledMs],
  ] as const
  for (const [state, ms] of kept) {
    if (left <= 0) break
    const old = yield* query<{ tenant: TenantId; seq: Seq }>(
      'SELECT tenant, seq FROM millrace.pipelines WHERE state = $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3',
      [state, now - ms, left],
    )
    for (const { tenant, seq } of old) {
      for (const table of ['stage_results', 'stage_jobs', 'pipeline_events', 'stages']) {
        yield* query(`DELETE FROM millrace.${table} WHERE tenant = $1 AND pipeline = $2`, [tenant, seq])
      }
      yield* query('DELETE FROM millrace.pipelines WHERE tenant = $1 AND seq = $2', [tenant, seq])
    }
    left -= old.length
  }
  return limit - left
}

function recordOf(row: PipelineRow): PipelineRecord {
  return {
    seq: row.seq,
    name: row.name,
    state: row.state,
    continueOnFailure: row.go_on === 1,
    stageCount: row.stage_count,
    stagesLeft: row.stages_left,
    createdAt: row.created_at,
    finishedAt: row.finished_at ?? undefined,
    deadline: row.deadline ?? undefined,
    reason: row.reason,
  }
}

function stageOf(row: StageRow): StageRecord {
  return {
    name: row.name,
    state: row.state,
    job: row.job ?? undefined,
    function: row.function,
    dependsOn: JSON.parse(row.dependencies) as number[],
    items: row.items ?? undefined,
    itemsLeft: row.items_left,
    startedAt: row.started_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
    error: row.error === null ? undefined : JSON.parse(row.error),
  }
}
