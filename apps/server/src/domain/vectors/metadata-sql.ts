import { invalid } from '../../errors.ts'
import type { Bindings, Comparison, Condition } from '../tables/conditions.ts'
import { arrayLiteral } from '../tables/values.ts'

const numeral = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/
const signs: Partial<Record<Comparison, string>> = { gt: '>', gte: '>=', lt: '<', lte: '<=', like: 'LIKE', ilike: 'ILIKE' }

const listSigns = { contains: '@>', containedBy: '<@', overlaps: '&&' } as const

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
  if (value === null || (by === 'is' && /^(null|unknown)$/i.test(value))) {
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
      return `r.metadata @> ${bindings.add(nested(keys, value.toLowerCase()))}::jsonb`
    case 'like':
    case 'ilike':
      return `${text()} ${signs[by]} ${bindings.add(value)}`
    case 'contains':
    case 'containedBy':
    case 'overlaps': {
      const sign = listSigns[by]
      if (by !== 'overlaps' && isJson(value)) return `${json()} ${sign} ${bindings.add(value)}::jsonb`
      // Elements are compared as text, so that numbers find numbers. A case, since others have no elements.
      const elements = `ARRAY(SELECT pg_catalog.jsonb_array_elements_text(${json()}))`
      return `CASE jsonb_typeof(${json()}) WHEN 'array' THEN ${elements} ${sign} ${bindings.add(value)}::text[] END`
    }
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
  const is = (json: string) => `r.metadata @> ${bindings.add(nested(keys, json))}::jsonb`
  const text = JSON.stringify(value)
  // Its digits as they are: a double would make others of them. JSON has no zeros before them.
  if (numeral.test(value) && Number.isFinite(Number(value))) return `${is(text)} OR ${is(value.replace(/^(-?)0+(?=\d)/, '$1'))}`
  return value === 'true' || value === 'false' ? `${is(text)} OR ${is(value)}` : is(text)
}

/** The JSON of a value under its keys. */
function nested(keys: readonly string[], json: string): string {
  return keys.reduceRight((inner, key) => `{${JSON.stringify(key)}:${inner}}`, json)
}

/** True for JSON; a list is written as Postgres writes arrays, which is none. */
function isJson(value: string): boolean {
  try {
    JSON.parse(value)
    return true
  } catch {
    return false
  }
}
