import {
  BIGINT,
  BLOB,
  BOOLEAN,
  blobValue,
  DOUBLE,
  DuckDBListType,
  DuckDBListValue,
  type DuckDBPreparedStatement,
  DuckDBStructType,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  type DuckDBType,
  type DuckDBValue,
  HUGEINT,
  LIST,
  listValue,
  SQLNULL,
  STRUCT,
  structValue,
  TIMESTAMPTZ,
  VARCHAR,
} from '@duckdb/node-api'
import { Failure } from './failure.ts'

/** A value as DuckDB takes it. */
interface Bound {
  readonly value: DuckDBValue
  readonly type: DuckDBType
}

/**
 * Gives a statement its parameters.
 *
 * @param json - a list, an object, or '' when there are none.
 * @param path - where they are in the request.
 * @throws Failure when they are not what the statement takes.
 */
export function bindParameters(prepared: DuckDBPreparedStatement, json: string, path: string): void {
  const given = read(json, path)
  const isList = Array.isArray(given)
  const names = Array.from({ length: prepared.parameterCount }, (_, i) => nameOf(prepared, i + 1, path))
  const count = isList ? given.length : Object.keys(given).length
  const isPositional = names.every((name) => /^\d+$/.test(name))
  if (names.length > 0 && count > 0 && isPositional !== isList) {
    const want = isPositional ? 'a list, for ? and $1' : 'an object, for $name'
    throw wrong(path, `the statement's parameters are ${isPositional ? 'numbered' : 'named'}: give ${want}`)
  }
  if (isList && count !== names.length) throw wrong(path, `${count} given, but the statement has ${names.length}`)
  for (const [i, name] of names.entries()) {
    if (!isList && !Object.hasOwn(given, name)) throw wrong(path, `$${name} is missing`)
    const at = isList ? `${path}[${i}]` : `${path}.${name}`
    const { value, type } = bound(Array.isArray(given) ? given[Number(name) - 1] : (given as Readonly<Record<string, unknown>>)[name], at)
    prepared.bindValue(i + 1, value, type)
  }
  if (!isList) {
    const unknown = Object.keys(given).find((name) => !names.includes(name))
    if (unknown !== undefined) throw wrong(path, `the statement has no $${unknown.slice(0, 64)}`)
  }
}

/** DuckDB counts the parameters that are there and finds them by their numbers. */
function nameOf(prepared: DuckDBPreparedStatement, index: number, path: string): string {
  try {
    return prepared.parameterName(index)
  } catch {
    throw wrong(path, `the statement has no $${index}, but one with a higher number: number them from $1 on, each`)
  }
}

function read(json: string, path: string): readonly unknown[] | Readonly<Record<string, unknown>> {
  if (json === '') return []
  let given: unknown
  try {
    // Whole numbers of 64 bits, and what JavaScript would round, as they are written.
    given = JSON.parse(json, (_key, value: unknown, { source = '' }: { readonly source?: string } = {}) => {
      if (typeof value !== 'number' || Number.isSafeInteger(value) || !/^-?\d{16,}$/.test(source)) return value
      const exact = source.length > 40 ? huge : BigInt(source)
      return BigInt.asIntN(64, exact) === exact || String(value) !== source ? exact : value
    })
  } catch {
    throw wrong(path, 'is not JSON')
  }
  if (given === null) return []
  if (typeof given !== 'object') throw wrong(path, 'is neither a list nor an object')
  return given as readonly unknown[] | Readonly<Record<string, unknown>>
}

function bound(value: unknown, path: string): Bound {
  switch (typeof value) {
    case 'boolean':
      return { value, type: BOOLEAN }
    case 'string':
      if (!value.isWellFormed()) throw wrong(path, 'is not well-formed Unicode')
      return { value, type: VARCHAR }
    case 'bigint':
      return whole(value, path)
    case 'number':
      if (!Number.isFinite(value)) throw wrong(path, 'is more than a DOUBLE holds')
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) return { value: BigInt(value), type: BIGINT }
      return { value, type: DOUBLE }
    case 'object':
      if (value === null) return { value: null, type: SQLNULL }
      return Array.isArray(value) ? list(value, path) : (tagged(value, path) ?? struct(value, path))
    default:
      throw wrong(path, 'is not a value')
  }
}

const huge = 2n ** 127n
const numbers: ReadonlySet<DuckDBType> = new Set([BIGINT, HUGEINT, DOUBLE])

function whole(value: bigint, path: string): Bound {
  if (BigInt.asIntN(64, value) === value) return { value, type: BIGINT }
  if (value >= huge || value < -huge) throw wrong(path, 'is a whole number of more than 128 bits')
  return { value, type: HUGEINT }
}

/** What JSON has no values for. */
function tagged(value: object, path: string): Bound | undefined {
  const [[tag, content] = [], ...more] = Object.entries(value)
  if (!tag?.startsWith('$') || more.length > 0) return undefined
  if (typeof content !== 'string') throw wrong(path, `${tag} is not text`)
  if (tag === '$bytes') return { value: blobValue(Buffer.from(content, 'base64')), type: BLOB }
  if (tag === '$bigint') {
    if (!/^-?\d{1,39}$/.test(content)) throw wrong(path, '$bigint is not a whole number')
    return whole(BigInt(content), path)
  }
  if (tag === '$timestamp') {
    const ms = Date.parse(content)
    if (Number.isNaN(ms)) throw wrong(path, '$timestamp is not a time like 2027-01-31T12:00:00Z')
    return { value: new DuckDBTimestampTZValue(BigInt(ms) * 1000n), type: TIMESTAMPTZ }
  }
  throw wrong(path, `${tag.slice(0, 32)} is not one of $bigint, $bytes, $timestamp`)
}

function list(values: readonly unknown[], path: string): Bound {
  const items = values.map((value, i) => bound(value, `${path}[${i}]`))
  const types = new Map(items.map(({ type }) => [String(type), type]))
  const type = [...types.values()].reduce<DuckDBType | undefined>((all, each) => all && common(all, each), SQLNULL)
  if (type === undefined) {
    const names = [...types].filter(([, each]) => each !== SQLNULL).map(([name]) => name)
    throw wrong(path, `is a list of several types: ${names.join(', ')}`.slice(0, 200))
  }
  return { value: listValue(items.map(({ value }) => (types.size > 1 ? fitted(value, type) : value))), type: LIST(type) }
}

/** The type that values of two types have in a list; undefined when there is none. NULL is of every type, also within lists and structs. */
function common(one: DuckDBType, other: DuckDBType): DuckDBType | undefined {
  if (one === SQLNULL || String(one) === String(other)) return other
  if (other === SQLNULL) return one
  if (numbers.has(one) && numbers.has(other)) return one === DOUBLE || other === DOUBLE ? DOUBLE : HUGEINT
  if (one instanceof DuckDBListType && other instanceof DuckDBListType) {
    const item = common(one.valueType, other.valueType)
    return item && LIST(item)
  }
  if (!(one instanceof DuckDBStructType && other instanceof DuckDBStructType)) return undefined
  if (one.entryCount !== other.entryCount) return undefined
  const fields: Record<string, DuckDBType> = {}
  for (const [i, name] of one.entryNames.entries()) {
    const field = other.entryNames.includes(name) ? common(one.entryTypes[i]!, other.typeForEntry(name)) : undefined
    if (field === undefined) return undefined
    fields[name] = field
  }
  return STRUCT(fields)
}

/** A value as one of a type that it has in common with others. */
function fitted(value: DuckDBValue, type: DuckDBType): DuckDBValue {
  if (type === DOUBLE && typeof value === 'bigint') return Number(value)
  if (value instanceof DuckDBListValue && type instanceof DuckDBListType)
    return listValue(value.items.map((item) => fitted(item, type.valueType)))
  if (!(value instanceof DuckDBStructValue && type instanceof DuckDBStructType)) return value
  return structValue(Object.fromEntries(type.entryNames.map((name, i) => [name, fitted(value.entries[name]!, type.entryTypes[i]!)])))
}

function struct(value: object, path: string): Bound {
  const entries = Object.entries(value).map(([name, each]) => [name, bound(each, `${path}.${name.slice(0, 64)}`)] as const)
  if (entries.length === 0) throw wrong(path, 'is an empty object')
  return {
    value: structValue(Object.fromEntries(entries.map(([name, each]) => [name, each.value]))),
    type: STRUCT(Object.fromEntries(entries.map(([name, each]) => [name, each.type]))),
  }
}

function wrong(path: string, message: string): Failure {
  return new Failure({ reason: 'VALIDATION', path, message })
}
