import type { JobState, NewJob, Seq } from '../ports.ts'

/** What must become of other jobs when something ends or begins. The adapter sees to it in the same transaction. */
export interface Aftermath {
  /** Blocked jobs that may begin. */
  readonly start: Seq[]
  /** Jobs that are blocked still, until then. */
  readonly waiting: { readonly seq: Seq; readonly dueAt: number }[]
  /** Jobs that end, those that have ended left out. */
  readonly cancel: Seq[]
  /** Failed and cancelled jobs that wait again, or may begin. */
  readonly restart: { readonly seq: Seq; readonly blocked: boolean }[]
  /** New jobs; no queue is too full for them. */
  readonly add: NewJob[]
  /** Pipelines to tell of. */
  readonly pipelines: { readonly seq: Seq; readonly state: JobState; readonly deadline?: number }[]
}

export function noAftermath(): Aftermath {
  return { start: [], waiting: [], cancel: [], restart: [], add: [], pipelines: [] }
}
