import { MillraceError } from '../../errors.ts'
import type { Content, Seq, TenantId } from '../ports.ts'
import { type Program, query } from './program.ts'

/** What a stage without a list has for the number of its item. */
export const noItem = -1
/** Bytes of one result at most, where the results of items come together. */
const mostBytes = 16 * 1024 * 1024

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
  if (Number(row.size ?? 0) > mostBytes) {
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

/** The result of a completed stage as a list; undefined when it is none. */
export function* listOf(tenant: TenantId, pipeline: Seq, stage: number): Program<readonly unknown[] | undefined> {
  const result = yield* stageResult(tenant, pipeline, stage)
  if (!result || !isJson(result.contentType)) return undefined
  try {
    const list: unknown = JSON.parse(new TextDecoder().decode(result.data))
    return Array.isArray(list) ? list : undefined
  } catch {
    return undefined
  }
}

/** A result among others: JSON as it is, nothing as null, bytes as base64. */
function jsonOf({ data, content_type }: ResultRow): string {
  if (data.length === 0) return 'null'
  return isJson(content_type ?? '') ? new TextDecoder().decode(data) : JSON.stringify(Buffer.from(data).toString('base64'))
}

function isJson(contentType: string): boolean {
  return contentType === '' || contentType.startsWith('application/json')
}
