import type { ItemError } from '@millrace/protocol'
import type { JobEngine } from '../domain/jobs/types.ts'
import type { NewJob, Scope, Seq } from '../store/ports.ts'
import type { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { answersOf } from './repeats.ts'
import { toItemError } from './shapes.ts'

/** What became of one item; `function` is that of the job, whose id depends on it. */
export interface ItemResult {
  readonly seq: Seq | undefined
  readonly function: string
  readonly created: boolean
  readonly error: ItemError | undefined
}

/**
 * Enqueues the items of a request. Wrong items refuse the request, or, when items stand alone, have an error in their
 * places while the others go on.
 *
 * @throws VALIDATION, ALREADY_EXISTS, QUOTA_EXCEEDED
 */
export async function enqueueItems(request: {
  readonly engine: JobEngine
  readonly scope: Scope
  readonly checks: Checks
  /** The field of the items, for paths. */
  readonly field: string
  readonly count: number
  /** Checks an item and makes it a job. */
  readonly read: (index: number) => NewJob
  readonly requestId: string
  readonly partial: boolean
  readonly batch: boolean
}): Promise<{ readonly results: ItemResult[]; readonly batch?: Seq }> {
  const { engine, scope, checks, field, count, read, requestId, partial, batch } = request
  checks.count(field, count, 1, limits.batch)
  checks.text('requestId', requestId, limits.requestId)
  checks.done()

  const jobs: NewJob[] = []
  const refused = new Map<number, ItemError>()
  for (let i = 0; i < count; i++) {
    checks.at(field, i)
    const job = read(i)
    const error = partial && !checks.ok ? checks.takeItemError() : undefined
    if (error) refused.set(i, error)
    else jobs.push(job)
  }
  checks.done()

  const added = jobs.length > 0 ? await engine.enqueue(scope, { jobs, requestId, partial, batch }) : { outcomes: [] }
  const outcomes = answersOf(added.outcomes, jobs.length, requestId)
  const results: ItemResult[] = []
  let next = 0
  for (let i = 0; i < count; i++) {
    const error = refused.get(i)
    if (error) {
      results.push({ seq: undefined, function: '', created: false, error })
      continue
    }
    const job = jobs[next]!
    const outcome = outcomes[next]!
    next++
    if (!('error' in outcome)) results.push({ seq: outcome.seq, function: job.function, created: outcome.created, error: undefined })
    else if (partial) results.push({ seq: undefined, function: '', created: false, error: toItemError(outcome.error) })
    else throw outcome.error
  }
  return { results, batch: added.batch }
}
