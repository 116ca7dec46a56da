import { MillraceError } from '../../errors.ts'
import type { Budget } from './budget.ts'
import type { FieldProblem } from './problems.ts'
import type { Validator } from './validator.ts'

/** A version of a schema. */
export interface SchemaVersion {
  readonly name: string
  readonly version: number
}

type Headers = Readonly<Record<string, string>>

/** What can be checked. */
interface Checked {
  readonly payload: Uint8Array
  readonly contentType: string
  readonly headers: Headers
}

/** Under this header the version is kept with what was checked against it. It is not a name that headers may have. */
const versionHeader = '@schema'

/** Checks the payloads of one request. */
export class SchemaGuard {
  readonly #schema: SchemaVersion
  readonly #validator: Validator
  readonly #budget: Budget

  constructor(schema: SchemaVersion, validator: Validator, budget: Budget) {
    this.#budget = budget
    this.#schema = schema
    this.#validator = validator
  }

  /** What of a payload does not fit, by paths that begin with `payload`. */
  problems(payload: Uint8Array, contentType: string): readonly FieldProblem[] {
    if (contentType !== '' && !/^application\/json *(;|$)/i.test(contentType)) {
      return [{ path: 'contentType', message: `is not JSON, which is what the schema '${this.#schema.name}' is of` }]
    }
    const { name, version } = this.#schema
    return this.#validator.problems(payload, this.#budget).map(({ path, message }) => {
      return { path, message: `${message} (schema '${name}', version ${version})` }
    })
  }

  /** A message or job with the version of the schema, which it fits. @throws VALIDATION */
  admit<T extends Checked>(item: T): T {
    const problems = this.problems(item.payload, item.contentType)
    if (problems.length > 0) throw refusal(problems)
    return { ...item, headers: this.mark(item.headers) }
  }

  /** Several that are written together; paths begin with `list`. @throws VALIDATION */
  admitAll<T extends Checked>(list: string, items: readonly T[]): T[] {
    for (const [i, { payload, contentType }] of items.entries()) {
      const problems = this.problems(payload, contentType).map(({ path, message }) => ({ path: `${list}[${i}].${path}`, message }))
      if (problems.length > 0) throw refusal(problems)
    }
    return items.map((item) => ({ ...item, headers: this.mark(item.headers) }))
  }

  /** Headers with the version that was checked against. */
  mark(headers: Headers): Headers {
    return { ...headers, [versionHeader]: `${this.#schema.version} ${this.#schema.name}` }
  }
}

/** The headers of a message or job as they were given, and the version of the schema it was checked against. */
export function unmark(headers: Headers): { readonly headers: Headers; readonly schema: SchemaVersion | undefined } {
  const mark = headers[versionHeader]
  if (mark === undefined) return { headers, schema: undefined }
  const { [versionHeader]: _, ...given } = headers
  const space = mark.indexOf(' ')
  return { headers: given, schema: { name: mark.slice(space + 1), version: Number(mark.slice(0, space)) } }
}

/** The error that tells of problems. */
export function refusal(problems: readonly FieldProblem[]): MillraceError {
  const [first] = problems
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more wrong field${problems.length > 2 ? 's' : ''})` : ''
  return new MillraceError('VALIDATION', `${first!.path}: ${first!.message}${more}`, { fields: problems })
}
