import { type ItemError, JobState } from '@millrace/protocol'
import type { SchemaGuard } from '../domain/schemas/guard.ts'
import { MillraceError } from '../errors.ts'
import { limits } from './limits.ts'

/** One wrong field. */
interface Violation {
  readonly path: string
  readonly message: string
}

const namePattern = /^[A-Za-z0-9._:/-]{1,255}$/
const nameRule = 'give 1 to 255 characters of A-Z a-z 0-9 . _ : / -'

/** Wrong fields told of at most: a request of 10,000 wrong jobs must not make an error of megabytes. */
const mostViolations = 10

/** True for a valid name of a queue, function, worker, namespace, label or header. */
export function isName(text: string): boolean {
  return namePattern.test(text)
}

/**
 * Collects what is wrong with a request, all of it, so that its author can mend it in one go. Each check is one field;
 * paths are spelled as in JSON (`jobs[3].idempotencyKey`) and written only when something is wrong.
 */
export class Checks {
  #list = ''
  #index: number | undefined
  #violations: Violation[] = []
  #more = 0

  /** Begins an item, of a list when it has an index; fields that follow belong to it. */
  at(list: string, index?: number): void {
    this.#list = list
    this.#index = index
  }

  /** Ends the items; fields that follow belong to the request. */
  top(): void {
    this.at('')
  }

  /** True when nothing is wrong so far. */
  get ok(): boolean {
    return this.#violations.length === 0
  }

  /** Notes that a field is wrong. */
  fail(field: string, message: string): void {
    if (this.#violations.length >= mostViolations) {
      this.#more++
      return
    }
    const item = this.#index === undefined ? this.#list : `${this.#list}[${this.#index}]`
    const path = item !== '' && field !== '' ? `${item}.${field}` : item + field
    this.#violations.push({ path, message })
  }

  /**
   * Refuses the request when something is wrong.
   *
   * @throws VALIDATION
   */
  done(): void {
    if (!this.ok) throw this.#error()
  }

  /** What is wrong with the current item of a batch whose items stand alone, and forgets it. */
  takeItemError(): ItemError | undefined {
    if (this.ok) return undefined
    const { message, fields = [] } = this.#error()
    this.#violations = []
    this.#more = 0
    return { reason: 'VALIDATION', message, fields: [...fields], retryAfterMs: 0, quota: undefined, resource: '', id: '' }
  }

  #error(): MillraceError {
    const first = this.#violations[0]!
    const others = this.#violations.length - 1 + this.#more
    const message = `${first.path}: ${first.message}${others > 0 ? ` (and ${others} more wrong field${others > 1 ? 's' : ''})` : ''}`
    return new MillraceError('VALIDATION', message, { fields: this.#violations })
  }

  /** A name that must be there. */
  name(field: string, value: string): void {
    if (namePattern.test(value)) return
    this.fail(field, value === '' ? `is missing; ${nameRule}` : `${show(value)} is not a name; ${nameRule}`)
  }

  /** A name, or '' for the default. */
  nameOr(field: string, value: string, fallback: string): string {
    if (value === '') return fallback
    this.name(field, value)
    return value
  }

  /** An id that must be there. What it names is found out later. */
  id(field: string, value: string): void {
    if (value === '') this.fail(field, 'is missing')
  }

  /** A whole number within bounds. */
  integer(field: string, value: number, min: number, max: number): void {
    if (!(Number.isInteger(value) && value >= min && value <= max)) this.fail(field, `${value} is not a whole number from ${min} to ${max}`)
  }

  /** A number within bounds; NaN is not one. */
  number(field: string, value: number, min: number, max: number): void {
    if (!(value >= min && value <= max)) this.fail(field, `${value} is not a number from ${min} to ${max}`)
  }

  /** A text of at most so many characters. */
  text(field: string, value: string, max: number): void {
    if (value.length > max) this.fail(field, `has ${value.length} characters; at most ${max} are allowed`)
  }

  /** A payload or result. */
  payload(field: string, value: Uint8Array, max: number): void {
    if (value.length > max) {
      this.fail(
        field,
        `has ${value.length} bytes; the server takes ${max} (its payload limit). Store large data elsewhere and pass a reference`,
      )
    }
  }

  /** Checks a message or job against the schema of its stream or queue; returns it with the schema's version. */
  schema<T extends { readonly payload: Uint8Array; readonly contentType: string; readonly headers: Readonly<Record<string, string>> }>(
    guard: SchemaGuard,
    item: T,
  ): T {
    for (const { path, message } of guard.problems(item.payload, item.contentType)) this.fail(path, message)
    return { ...item, headers: guard.mark(item.headers) }
  }

  /** The length of a list. */
  count(field: string, length: number, min: number, max: number): void {
    if (length < min || length > max) this.fail(field, `has ${length} items; ${min} to ${max} are allowed`)
  }

  /** The length of a lease; 0 stands for the default. */
  lease(field: string, value: number): number {
    if (value === 0) return limits.lease.default
    this.integer(field, value, limits.lease.min, limits.lease.max)
    return value
  }

  /** The length of a page; 0 stands for the default. */
  page(field: string, value: number): number {
    if (value === 0) return limits.page.default
    this.integer(field, value, 1, limits.page.max)
    return value
  }

  /** A moment: undefined when it is not given. */
  time(field: string, value: Date | undefined): number | undefined {
    if (value === undefined) return undefined
    const ms = value.getTime()
    if (ms >= 0 && ms <= Number.MAX_SAFE_INTEGER) return Math.round(ms)
    this.fail(field, 'is not a time after 1970')
    return undefined
  }

  /** Labels of a job. */
  labels(field: string, labels: Readonly<Record<string, string>>): void {
    this.#entries(field, labels, limits.labels.count, (value) =>
      value.length > limits.labels.value ? `has ${value.length} characters; at most ${limits.labels.value} are allowed` : undefined,
    )
  }

  /** Headers of a job. */
  headers(field: string, headers: Readonly<Record<string, string>>): void {
    this.#entries(field, headers, limits.headers.count, (value) => {
      // UTF-8 takes up to three bytes for each UTF-16 unit: most values need not be measured.
      const bytes = value.length * 3 <= limits.headers.value ? 0 : Buffer.byteLength(value)
      return bytes > limits.headers.value ? `has ${bytes} bytes; at most ${limits.headers.value} are allowed` : undefined
    })
  }

  /** States to filter by; the unspecified one stands for any. */
  states(field: string, values: readonly JobState[]): readonly Exclude<JobState, 0 | -1>[] {
    const known: Exclude<JobState, 0 | -1>[] = []
    for (const value of values) {
      if (value > JobState.UNSPECIFIED && value <= JobState.CANCELLED) known.push(value as Exclude<JobState, 0 | -1>)
      else if (value !== JobState.UNSPECIFIED) this.fail(field, `${value} is not a state`)
    }
    return known
  }

  #entries(field: string, entries: Readonly<Record<string, string>>, max: number, wrong: (value: string) => string | undefined): void {
    let count = 0
    for (const key in entries) {
      count++
      if (!namePattern.test(key)) this.fail(field, `the key ${show(key)} is not a name; ${nameRule}`)
      const message = wrong(entries[key]!)
      if (message) this.fail(field, `the value of ${show(key)} ${message}`)
    }
    if (count > max) this.fail(field, `has ${count} entries; at most ${max} are allowed`)
  }
}

/** Shows a wrong text in a message, short and on one line. */
function show(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 60)}…` : text)
}
