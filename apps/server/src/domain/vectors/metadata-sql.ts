import { invalid } from '../../errors.ts'
import type { Bindings, Comparison, Condition } from '../tables/conditions.ts'
import { arrayLiteral } from '../tables/values.ts'

const numeral = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/
const signs: Partial<Record<Comparison, string>> = { gt: '>', gte: '>=', lt: '<', lte: '<=', like: 'LIKE', ilike: 'ILIKE' }

/**
 * A condition over metadata as it stands in SQL, its values bound. Columns are keys of the metadata. Values come as text, whoever
 * wrote them: one that looks like a number is compared with numbers, others with texts.
 *
 * @throws VALIDATION when a comparison cannot be made.
 */
export function metadataSql(condition: Condition, bindings: Bindings): string {
  switch (condition.type) {
    case 'and':
    case 'or': {
      if (condition.of.length === 0) return condition.type === 'and' ? 'TRUE' : 'FALSE'
      return `(${condition.of.map((each) => metadataSql(each, bindings)).join(condition.type === 'and' ? ' AND ' : ' OR ')})`
    }
    case 'not':
      // All others, also those that lack the key.
      return `NOT coalesce(${metadataSql(condition.of, bindings)}, FALSE)`
    case 'compare': {
      const { path, by, value } = condition
      return `(${compareSql([path.column, ...path.steps], by, value, bindings)})`
    }
  }
}

function compareSql(keys: readonly string[], by: Comparison, value: string | null, bindings: Bindings): string {
  const json = () => `(r.metadata #> ${bindings.add(arrayLiteral('filter', keys))}::text[])`
  const text = () => `(r.metadata #>> ${bindings.add(arrayLiteral('filter', keys))}::text[])`
  if (value === null || (by === 'is' && value.toLowerCase() === 'null')) {
    if (by === 'eq' || by === 'is') return `${text()} IS NULL`
    if (by === 'ne') return `${text()} IS NOT NULL`
    throw invalid('filter', `compares ${keys.join('.')} with null by '${by}'; only eq, ne and is can`)
  }
  switch (by) {
    // Containment is what the index over metadata answers.
    case 'eq':
      return equals(keys, value, bindings)
    case 'ne':
      return `${text()} IS NOT NULL AND NOT (${equals(keys, value, bindings)})`
    case 'in':
      return `${text()} = ANY(${bindings.add(value)}::text[])`
    case 'is':
      return `r.metadata @> ${bindings.add(nested(keys, value.toLowerCase() === 'true'))}::jsonb`
    case 'like':
    case 'ilike':
      return `${text()} ${signs[by]} ${bindings.add(value)}`
    case 'contains':
      return `${json()} @> ${jsonValue(value, bindings)}`
    case 'containedBy':
      return `${json()} <@ ${jsonValue(value, bindings)}`
    case 'overlaps':
      return `${json()} ?| ${bindings.add(value)}::text[]`
    default: {
      const isNumber = numeral.test(value)
      const type = isNumber ? 'number' : 'string'
      const found = isNumber ? `${text()}::numeric` : `${text()} COLLATE "C"`
      const bound = `${bindings.add(value)}::${isNumber ? 'numeric' : 'text'}`
      // A case, since Postgres may look at the parts of an AND in any order, and text is no numeric.
      return `CASE jsonb_typeof(${json()}) WHEN '${type}' THEN ${found} ${signs[by]} ${bound} END`
    }
  }
}

function equals(keys: readonly string[], value: string, bindings: Bindings): string {
  const is = (each: unknown) => `r.metadata @> ${bindings.add(nested(keys, each))}::jsonb`
  if (numeral.test(value)) return `${is(value)} OR ${is(Number(value))}`
  return value === 'true' || value === 'false' ? `${is(value)} OR ${is(value === 'true')}` : is(value)
}

/** The JSON of a value under its keys. */
function nested(keys: readonly string[], value: unknown): string {
  return JSON.stringify(keys.reduceRight((inner, key) => ({ [key]: inner }), value))
}

/** JSON, or a list as Postgres writes arrays. */
function jsonValue(value: string, bindings: Bindings): string {
  try {
    JSON.parse(value)
    return `${bindings.add(value)}::jsonb`
  } catch {
    return `to_jsonb(${bindings.add(value)}::text[])`
  }
}
