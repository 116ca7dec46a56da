import { MillraceError } from '../../errors.ts'
import type { Content, Seq, TenantId } from '../ports.ts'
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
export function* stageResult(tenant: TenantId, pipeline: Seq, stage: number): Program<Content | undefined> {
  const [row] = yield* query<{ items: number | null; state: number; size: number | null }>(
    `SELECT items, state, (SELECT sum(length(data)) FROM millrace.stage_results r
        WHERE r.tenant = s.tenant AND r.pipeline = s.pipeline AND r.stage = s.stage) AS size
      FROM millrace.stages s WHERE tenant = $1 AND pipeline = $2 AND stage = $3`,
    [tenant, pipeline, stage],
  )
  if (row?.state !== 5) return undefined
  // What a stage without a list returned had to be within the payload limit alone.
  if (row.items !== null && Number(row.size ?? 0) > mostBytes) {
    throw new MillraceError(
      'QUOTA_EXCEEDED',
      `The results of the stage's items have ${row.size} bytes together; ${mostBytes} is the most. Store them elsewhere and return where.`,
      { quota: { type: 'stage_result', current: Number(row.size), limit: mostBytes } },
    )
  }
  const rows = yield* query<ResultRow>(
    'SELECT item, data, content_type FROM millrace.stage_results WHERE tenant = $1 AND pipeline = $2 AND stage = $3 ORDER BY item',
    [tenant, pipeline, stage],
  )
  if (row.items === null) return rows[0] && { data: rows[0].data, contentType: rows[0].content_type ?? '' }
  return { data: new TextEncoder().encode(`[${rows.map(jsonOf).join(',')}]`), contentType: '' }
}

/** The result of a completed stage as a list: the payloads of a job for each item, or what is wrong with it. */
export function* itemsOfResult(tenant: TenantId, pipeline: Seq, stage: number): Program<readonly Uint8Array[] | string> {
  try {
    const result = yield* stageResult(tenant, pipeline, stage)
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
