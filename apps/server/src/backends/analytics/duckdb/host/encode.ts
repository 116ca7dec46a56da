import {
  type DuckDBArrayValue,
  type DuckDBBlobValue,
  type DuckDBDataChunk,
  type DuckDBDateValue,
  type DuckDBIntervalValue,
  type DuckDBListValue,
  type DuckDBMapValue,
  type DuckDBStructValue,
  type DuckDBTimestampNanosecondsValue,
  type DuckDBTimestampTZValue,
  type DuckDBTimestampValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import { Failure } from './failure.ts'

/** Makes what JSON can hold of a value that is not NULL. */
export type Encode = (value: never) => unknown

const same = (value: unknown): unknown => value
const text = (value: unknown): string => String(value)
/** What JSON cannot hold as a number goes as text. */
const float = (value: number): number | string =>
  Number.isFinite(value) && !Object.is(value, -0) ? value : Object.is(value, -0) ? '-0' : String(value)
/** What `infinity` is as a date. */
const endlessDays = 2 ** 31 - 1
const most = BigInt(Number.MAX_SAFE_INTEGER)
const integer = (value: bigint): number | string => (value <= most && value >= -most ? Number(value) : value.toString())

/**
 * How values of a type stand in JSON, exactly; docs/analytics.md has the table.
 *
 * @param type - as DuckDB says it.
 */
export function encoderOf(type: DuckDBType): Encode {
  switch (type.typeId) {
    case DuckDBTypeId.BIGINT:
    case DuckDBTypeId.UBIGINT:
    case DuckDBTypeId.HUGEINT:
    case DuckDBTypeId.UHUGEINT:
    case DuckDBTypeId.BIGNUM:
      return integer
    case DuckDBTypeId.FLOAT:
    case DuckDBTypeId.DOUBLE:
      return float
    case DuckDBTypeId.BLOB:
      return (value: DuckDBBlobValue) => Buffer.from(value.bytes).toString('base64')
    case DuckDBTypeId.TIMESTAMP:
      return (value: DuckDBTimestampValue) => time(value.micros, 6n, '') ?? iso(value)
    case DuckDBTypeId.TIMESTAMP_TZ:
      return (value: DuckDBTimestampTZValue) => time(value.micros, 6n, 'Z') ?? iso(value).replace(/\+00$/, 'Z')
    case DuckDBTypeId.TIMESTAMP_NS:
      return (value: DuckDBTimestampNanosecondsValue) => time(value.nanos, 9n, '') ?? iso(value)
    case DuckDBTypeId.TIMESTAMP_S:
    case DuckDBTypeId.TIMESTAMP_MS:
      return iso
    case DuckDBTypeId.DATE:
      return (value: DuckDBDateValue) => (Math.abs(value.days) < endlessDays ? value.toString() : value.days > 0 ? 'infinity' : '-infinity')
    case DuckDBTypeId.INTERVAL:
      return ({ months, days, micros }: DuckDBIntervalValue) => ({ months, days, micros: integer(micros) })
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY: {
      const item = nullable(encoderOf((type as { readonly valueType: DuckDBType }).valueType))
      return ({ items }: DuckDBListValue | DuckDBArrayValue) => items.map(item)
    }
    case DuckDBTypeId.STRUCT: {
      const { entryNames, entryTypes } = type as { readonly entryNames: readonly string[]; readonly entryTypes: readonly DuckDBType[] }
      const fields = entryTypes.map((each) => nullable(encoderOf(each)))
      // DuckDB's binding keeps fields by their names.
      if (new Set(entryNames).size < entryNames.length) {
        throw new Failure({
          reason: 'VALIDATION',
          path: 'sql',
          message: "a row without names cannot be sent; name its fields: {'a': 1, 'b': 2}",
        })
      }
      return ({ entries }: DuckDBStructValue) => Object.fromEntries(entryNames.map((name, i) => [name, fields[i]!(entries[name] ?? null)]))
    }
    case DuckDBTypeId.MAP: {
      const { keyType, valueType } = type as { readonly keyType: DuckDBType; readonly valueType: DuckDBType }
      const key = nullable(encoderOf(keyType))
      const item = nullable(encoderOf(valueType))
      return ({ entries }: DuckDBMapValue) => entries.map((entry) => [key(entry.key), item(entry.value)])
    }
    case DuckDBTypeId.UNION: {
      const { memberTags, memberTypes } = type as { readonly memberTags: readonly string[]; readonly memberTypes: readonly DuckDBType[] }
      const members = new Map(memberTags.map((tag, i) => [tag, nullable(encoderOf(memberTypes[i]!))]))
      return ({ tag, value }: DuckDBUnionValue) => ({ tag, value: members.get(tag)!(value) })
    }
    case DuckDBTypeId.BOOLEAN:
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.USMALLINT:
    case DuckDBTypeId.UINTEGER:
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.ENUM:
      return same
    default:
      // Dates, times, decimals, UUIDs, bits: their text is exact.
      return text
  }
}

/**
 * The values of some rows of a chunk: for each column a text, its values in JSON with commas between them.
 *
 * @param encoders - one for each column.
 */
export function encodeRows(chunk: DuckDBDataChunk, encoders: readonly Encode[], from: number, to: number): string[] {
  return encoders.map((encode, i) => {
    const vector = chunk.getColumnVector(i)
    const values = new Array<unknown>(to - from)
    for (let row = from; row < to; row++) {
      const value = vector.getItem(row)
      values[row - from] = value === null || encode === same ? value : encode(value as never)
    }
    return JSON.stringify(values).slice(1, -1)
  })
}

function nullable(encode: Encode): (value: DuckDBValue) => unknown {
  return (value) => (value === null || value === undefined ? null : encode(value as never))
}

/** Years of four digits. */
const earliest = Date.UTC(1, 0, 1) - (Date.UTC(1, 0, 1) - new Date('0001-01-01T00:00:00Z').getTime())
const latest = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** ISO 8601 with all digits; undefined for times that it has no form for. */
function time(ticks: bigint, digits: 6n | 9n, zone: string): string | undefined {
  const perMs = digits === 6n ? 1000n : 1_000_000n
  let ms = ticks / perMs
  let rest = ticks % perMs
  if (rest < 0n) {
    rest += perMs
    ms -= 1n
  }
  const at = Number(ms)
  if (at < earliest || at > latest) return undefined
  return `${new Date(at).toISOString().slice(0, -1)}${rest.toString().padStart(Number(digits) - 3, '0')}${zone}`
}

/** DuckDB writes a space where ISO 8601 has a T, before it ` (BC)` for the years that ISO 8601 has no form for; and `infinity`. */
function iso(value: unknown): string {
  return String(value).replace(/ (?=\d)/, 'T')
}
