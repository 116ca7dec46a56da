import { MillraceError } from '../../errors.ts'
import type { Content, Seq, TenantId } from '../ports.ts'
import { ListCache, type ListName } from './list-cache.ts'
import { type Program, query } from './program.ts'

/** What a stage without a list has for the number of its item. */
export const noItem = -1
/** Bytes of a list's results together at most, where they are made one. */
const mostBytes = 16 * 1024 * 1024
/** Items of one list at most. */
const mostItems = 10_000

interface ResultRow {
  readonly item: number
  readonly data: Uint8Array
  readonly content_type: string | null
}

/** The result of a completed stage: of one with a list, the results of its items as a JSON array. */
export function* stageResult(tenant: TenantId, pipeline: Seq, stage: number, lists: ListCache): Program<Content | undefined> {
  const [row] = yield* query<{ items: number | null; state: number; finished_at: number }>(
    'SELECT items, state, finished_at FROM millrace.stages WHERE tenant = $1 AND pipeline = $2 AND stage = $3',
    [tenant, pipeline, stage],
  )
  if (row?.state !== 5) return undefined
  if (row.items === null) return (yield* resultsOf(tenant, pipeline, stage)).map(contentOf)[0]
  const name = { tenant, pipeline, stage, finishedAt: row.finished_at }
  const known = lists.get(name)
  if (known?.result) return known.result
  const size = known?.size ?? (yield* sizeOf(name))
  if (size > mostBytes) {
    throw new MillraceError(
      'QUOTA_EXCEEDED',
      `The results of the stage's items have ${size} bytes together; ${mostBytes} is the most. Store them elsewhere and return where.`,
      { quota: { type: 'stage_result', current: size, limit: mostBytes } },
    )
  }
  const results = yield* resultsOf(tenant, pipeline, stage)
  const result = { data: new TextEncoder().encode(`[${results.map(jsonOf).join(',')}]`), contentType: '' }
  lists.set(name, { size, result })
  return result
}

/** The bytes of the results of a completed stage together. @param finishedAt - of one with a list. */
export function* resultSize(
  { tenant, pipeline, stage, finishedAt }: Omit<ListName, 'finishedAt'> & { readonly finishedAt?: number },
  lists: ListCache,
): Program<number> {
  if (finishedAt === undefined) return yield* sizeOf({ tenant, pipeline, stage })
  const name = { tenant, pipeline, stage, finishedAt }
  const known = lists.get(name)
  if (known) return known.size
  const size = yield* sizeOf(name)
  lists.set(name, { size })
  return size
}

function* sizeOf({ tenant, pipeline, stage }: Omit<ListName, 'finishedAt'>): Program<number> {
  const [row] = yield* query<{ size: number | null }>(
    'SELECT sum(length(data)) AS size FROM millrace.stage_results WHERE tenant = $1 AND pipeline = $2 AND stage = $3',
    [tenant, pipeline, stage],
  )
  return Number(row!.size ?? 0)
}

function resultsOf(tenant: TenantId, pipeline: Seq, stage: number): Program<readonly ResultRow[]> {
  return query<ResultRow>(
    'SELECT item, data, content_type FROM millrace.stage_results WHERE tenant = $1 AND pipeline = $2 AND stage = $3 ORDER BY item',
    [tenant, pipeline, stage],
  )
}

function contentOf({ data, content_type }: ResultRow): Content {
  return { data, contentType: content_type ?? '' }
}

/** The result of a completed stage as a list: the payloads of a job for each item, or what is wrong with it. */
export function* itemsOfResult(tenant: TenantId, pipeline: Seq, stage: number): Program<readonly Uint8Array[] | string> {
  try {
    // This happens once, in the transaction that ended the stage.
    const result = yield* stageResult(tenant, pipeline, stage, new ListCache())
    return result && isJson(result.contentType) ? itemsOf(result.data) : noList
  } catch (error) {
    // It ends the stage that has need of the list, not the job whose end would have begun it: that one cannot help it.
    if (error instanceof MillraceError && error.reason === 'QUOTA_EXCEEDED') return error.message
    throw error
  }
}

/** The payloads of a job for each item of a list, or what is wrong with it. */
export function itemsOf(data: Uint8Array): readonly Uint8Array[] | string {
  try {
    const list: unknown = JSON.parse(new TextDecoder().decode(data))
    if (!Array.isArray(list)) return noList
    if (list.length > mostItems) return `The list has ${list.length} items; ${mostItems} is the most.`
    return list.map((item) => new TextEncoder().encode(JSON.stringify(item)))
  } catch {
    // Or one that is nested too deeply to be written again.
    return noList
  }
}

const noList = 'The result that the stage should run for each item of is not a JSON array.'

/** A result among others: JSON as it is, nothing as null, bytes as base64. */
function jsonOf({ data, content_type }: ResultRow): string {
  if (data.length === 0) return 'null'
  return isJson(content_type ?? '') ? new TextDecoder().decode(data) : JSON.stringify(Buffer.from(data).toString('base64'))
}

function isJson(contentType: string): boolean {
  return contentType === '' || contentType.startsWith('application/json')
}
