import { decodeSeq, encodeSeq } from '../domain/jobs/ids.ts'
import type { JobRecord, Page, Seq } from '../store/ports.ts'
import type { Checks } from './checks.ts'
import { pageBytes } from './limits.ts'

/** The position a cursor names; undefined for the beginning. */
export function readCursor(checks: Checks, field: string, cursor: string): Seq | undefined {
  if (cursor === '') return undefined
  const seq = decodeSeq(cursor)
  if (seq === undefined) checks.fail(field, 'is not a cursor; give the nextCursor of the page before, or nothing')
  return seq
}

/**
 * Ends a page early when its payloads are large, so that its message stays small.
 *
 * @param bytesOf - bytes of one item in the message.
 */
export function cutPage(page: Page<JobRecord>, bytesOf: (job: JobRecord) => number): { items: readonly JobRecord[]; cursor: string } {
  let bytes = 0
  for (const [i, job] of page.items.entries()) {
    bytes += bytesOf(job)
    if (bytes > pageBytes && i > 0) return { items: page.items.slice(0, i), cursor: encodeSeq(page.items[i - 1]!.seq) }
  }
  return { items: page.items, cursor: page.next === undefined ? '' : encodeSeq(page.next) }
}
