import { invalid } from '../../errors.ts'
import type { SqlValue } from './backend.ts'
import { quoteIdentifier } from './identifiers.ts'

/** How a column is compared, and the SQL that does it. */
export const comparisons = {
  eq: '=',
  ne: '<>',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  like: 'LIKE',
  ilike: 'ILIKE',
  in: '= ANY',
  is: 'IS',
  contains: '@>',
  containedBy: '<@',
  overlaps: '&&',
} as const

/** A key of {@link comparisons}. */
export type Comparison = keyof typeof comparisons

/** A column, or a place inside a JSON column. */
export interface ColumnPath {
  /** The column. */
  readonly column: string
  /** Steps into its JSON. */
  readonly steps: readonly string[]
  /** True: the last step gives text (`->>`), not JSON. */
  readonly text: boolean
}

/** Which rows. */
export type Condition =
  | { readonly type: 'compare'; readonly path: ColumnPath; readonly by: Comparison; readonly value: SqlValue }
  | { readonly type: 'and' | 'or'; readonly of: readonly Condition[] }
  | { readonly type: 'not'; readonly of: Condition }

/** What a condition that compares nothing says of every row; undefined when it depends on the row. */
export function saysOfAll(condition: Condition): boolean | undefined {
  if (condition.type === 'compare') return undefined
  if (condition.type === 'not') {
    const said = saysOfAll(condition.of)
    return said === undefined ? undefined : !said
  }
  // One false one decides all of an `and`, one true one all of an `or`.
  const decisive = condition.type === 'or'
  const said = condition.of.map(saysOfAll)
  if (said.includes(decisive)) return decisive
  return said.includes(undefined) ? undefined : !decisive
}

/** What `is` compares with. */
export const isValues = ['null', 'true', 'false', 'unknown'] as const

/** The values that a statement binds, in order. */
export class Bindings {
  readonly values: SqlValue[] = []

  /** Binds a value; yields what stands for it in SQL. */
  add(value: SqlValue): string {
    this.values.push(value)
    return `$${this.values.length}`
  }
}

/**
 * A column as it stands in SQL.
 *
 * @param path - the field it came in, for errors.
 */
export function columnSql(path: string, { column, steps, text }: ColumnPath): string {
  let sql = `r.${quoteIdentifier(path, column)}`
  for (const [i, step] of steps.entries()) {
    const arrow = text && i === steps.length - 1 ? '->>' : '->'
    sql += /^-?\d{1,9}$/.test(step) ? `${arrow}${step}` : `${arrow}${literal(path, step)}`
  }
  return steps.length > 0 ? `(${sql})` : sql
}

/** A key of JSON as it stands in SQL. An escape string has no meaning but its own, whatever the session's settings. */
function literal(path: string, text: string): string {
  if (text.includes('\0')) throw invalid(path, 'contains a zero byte')
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** A condition as it stands in SQL, its values bound. */
export function conditionSql(condition: Condition, bindings: Bindings): string {
  switch (condition.type) {
    case 'and':
    case 'or': {
      if (condition.of.length === 0) return condition.type === 'and' ? 'TRUE' : 'FALSE'
      return `(${condition.of.map((each) => conditionSql(each, bindings)).join(condition.type === 'and' ? ' AND ' : ' OR ')})`
    }
    case 'not':
      return `NOT ${conditionSql(condition.of, bindings)}`
    case 'compare':
      return compareSql(condition, bindings)
  }
}

function compareSql({ path, by, value }: Condition & { readonly type: 'compare' }, bindings: Bindings): string {
  const column = columnSql('filter', path)
  if (by === 'is') return `(${column} IS ${isSql(value)})`
  if (value === null) {
    if (by === 'eq') return `(${column} IS NULL)`
    if (by === 'ne') return `(${column} IS NOT NULL)`
    throw invalid('filter', `compares ${path.column} with null by '${by}'; only eq, ne and is can`)
  }
  if (by === 'in') return `(${column} = ANY(${bindings.add(value)}))`
  return `(${column} ${comparisons[by]} ${bindings.add(value)})`
}

function isSql(value: SqlValue): string {
  const word = isValues.find((each) => each === (value ?? 'null').toLowerCase())
  if (!word) throw invalid('filter', `'is' takes ${isValues.join(', ')}`)
  return word.toUpperCase()
}
