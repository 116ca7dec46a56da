import { type Field, fieldsOf, type Shape } from './shape.ts'
import { enumNumber, fromBase64, isJsonType, valuesOf } from './values.ts'

/** What is wrong with one place of a JSON value. */
export interface JsonViolation {
  /** Where: `tasks[2].priority`. */
  readonly path: string
  /** What is wrong there and what is allowed. */
  readonly message: string
}

/** Told of at most. */
const mostViolations = 10

/**
 * Finds what is wrong with JSON that should be a message: unknown fields, values of other kinds, numbers that do not fit.
 *
 * @param shape - what the message looks like.
 * @param json - anything.
 * @returns the first ten things that are wrong; none when {@link fromJson} can read it.
 */
export function checkJson(shape: Shape, json: unknown): readonly JsonViolation[] {
  const violations: JsonViolation[] = []
  checkMessage(shape, json, '', violations)
  return violations
}

function checkMessage(shape: Shape, json: unknown, path: string, violations: JsonViolation[]): void {
  if (!isObject(json)) {
    fail(violations, path, `is ${kindOf(json)}, not an object`)
    return
  }
  const fields = fieldsOf(shape)
  const oneofs = new Map<string, string>()
  for (const [name, value] of Object.entries(json)) {
    if (violations.length >= mostViolations) return
    const at = path === '' ? name : `${path}.${name}`
    const field = fields.find((one) => one.name === name)
    if (!field) {
      fail(violations, at, `is not a field${fields.length > 0 ? `; there are ${fields.map((one) => one.name).join(', ')}` : ''}`)
    } else if (field.companion) {
      checkPayload(json, field, value, at, violations)
    } else if (value !== null) {
      const other = field.oneof && oneofs.get(field.oneof)
      if (other) fail(violations, at, `is given together with ${other}; give one of them`)
      if (field.oneof) oneofs.set(field.oneof, name)
      checkField(field, value, at, violations)
    }
  }
}

function checkPayload(json: object, field: Field, value: unknown, at: string, violations: JsonViolation[]): void {
  const contentType = (json as Readonly<Record<string, unknown>>)[field.companion!] ?? ''
  // A content type of another kind is told of where it is.
  if (typeof contentType !== 'string' || isJsonType(contentType)) return
  if (!isBase64(value)) fail(violations, at, `is not base64; ${field.companion} is ${contentType.slice(0, 64)}`)
}

function checkField(field: Field, value: unknown, at: string, violations: JsonViolation[]): void {
  if (field.many === '*') {
    if (Array.isArray(value)) checkEach(field, value.entries(), (i) => `${at}[${i}]`, violations)
    else fail(violations, at, `is ${kindOf(value)}, not a list`)
  } else if (field.many === '%') {
    if (isObject(value)) checkEach(field, Object.entries(value), (key) => `${at}.${key.slice(0, 64)}`, violations)
    else fail(violations, at, `is ${kindOf(value)}, not an object`)
  } else checkValue(field, value, at, violations)
}

function checkEach<K>(field: Field, entries: Iterable<[K, unknown]>, at: (key: K) => string, violations: JsonViolation[]): void {
  for (const [key, item] of entries) {
    if (violations.length >= mostViolations) return
    checkValue(field, item, at(key), violations)
  }
}

function checkValue(field: Field, value: unknown, at: string, violations: JsonViolation[]): void {
  const problem = field.message ? undefined : problemOf(field, value)
  if (field.message) checkMessage(field.message, value, at, violations)
  else if (problem) fail(violations, at, problem)
}

function problemOf({ kind, names }: Field, value: unknown): string | undefined {
  const isText = typeof value === 'string'
  switch (kind) {
    case 's':
      if (!isText) return `is ${kindOf(value)}, not text`
      return !/\p{Surrogate}/u.test(value) ? undefined : 'is not well-formed Unicode'
    case 'z':
      return typeof value === 'boolean' ? undefined : `is ${kindOf(value)}, not true or false`
    case 'b':
      return isBase64(value) ? undefined : 'is not base64'
    case 'e':
      if (isText && enumNumber(names, value) !== undefined) return undefined
      return `is not one of ${[...valuesOf(names).keys()].filter((key) => typeof key === 'string').join(', ')}`
    case 't':
      return isTime(value) ? undefined : 'is not a time like 2027-01-31T12:00:00Z'
    case 'd':
      return typeof value === 'number' || (isText && /^(NaN|-?Infinity)$/.test(value)) || isNumeral(value) || isRawJson(value)
        ? undefined
        : notANumber(value)
    case 'i':
      return checkInteger(value, -(2 ** 31), 2 ** 31 - 1)
    case 'u':
      return checkInteger(value, 0, 2 ** 32 - 1)
    default:
      return checkInteger(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  }
}

function checkInteger(value: unknown, min: number, max: number): string | undefined {
  // An object may stand for a number that is too large to be one.
  if (typeof value !== 'number' && !isObject(value) && !isNumeral(value)) return notANumber(value)
  const number = isObject(value) ? Number.NaN : Number(value)
  return Number.isInteger(number) && number >= min && number <= max ? undefined : `is not a whole number from ${min} to ${max}`
}

/** True for a number that was kept as it was written. */
function isRawJson(value: unknown): boolean {
  return (JSON as { readonly isRawJSON?: (value: unknown) => boolean }).isRawJSON?.(value) === true
}

function notANumber(value: unknown): string {
  return `is ${kindOf(value)}, not a number`
}

function isNumeral(value: unknown): boolean {
  return typeof value === 'string' && /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(value)
}

/** RFC 3339; years have four digits. */
const timePattern = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[-+]\d\d:\d\d)$/

function isTime(value: unknown): boolean {
  return typeof value === 'string' && timePattern.test(value) && !Number.isNaN(Date.parse(value))
}

function isBase64(value: unknown): boolean {
  try {
    return typeof value === 'string' && fromBase64(value) !== undefined
  } catch {
    return false
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'string' ? 'text' : typeof value === 'boolean' ? String(value) : `a ${typeof value}`
}

function fail(violations: JsonViolation[], path: string, message: string): void {
  violations.push({ path: path.slice(0, 200), message })
}
