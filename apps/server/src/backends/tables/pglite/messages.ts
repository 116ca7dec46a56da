import type { ResultBounds, SqlOutcome, SqlValue } from '../../../domain/tables/backend.ts'

/** What the thread of PGlite is asked for. */
export type PgliteTask =
  | { readonly do: 'login'; readonly role: string | undefined; readonly settings: readonly string[] }
  | { readonly do: 'query'; readonly text: string; readonly values: readonly SqlValue[]; readonly bounds: ResultBounds }
  | { readonly do: 'script'; readonly text: string }
  | { readonly do: 'close' }

/** The fields of an error of Postgres's. */
export interface PgliteFailure {
  readonly message: string
  readonly code?: string | undefined
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  readonly position?: string | undefined
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly constraint?: string | undefined
}

/** What it answers. */
export type PgliteAnswer = PgliteResult & {
  /** What was said meanwhile on the channel of changes. */
  readonly said?: readonly string[]
}

/** What a task gave. */
export type PgliteResult =
  | { readonly outcome: SqlOutcome | undefined }
  | { readonly error: PgliteFailure }
  | { readonly tooLarge: keyof ResultBounds }
  | { readonly fault: string }
