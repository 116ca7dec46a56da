import { invalid } from '../../errors.ts'
import { nearest } from '../../suggest.ts'
import { parseColumnPath } from './column-paths.ts'
import { type Comparison, type Condition, comparisons, isValues } from './conditions.ts'
import { arrayLiteral, isObject, toSqlValue } from './values.ts'

/** How deep conditions may lie in each other. */
const deepest = 32
/** Comparisons in one filter. */
const mostComparisons = 1000

/**
 * Reads a condition written as an object: `{ age: { gt: 25 }, name: 'Bob', or: [{ … }, { … }] }`.
 *
 * @throws VALIDATION
 */
export function readWhere(where: unknown): Condition {
  const counter = { left: mostComparisons }
  return readObject('filter.where', where, 0, counter)
}

function readObject(path: string, where: unknown, depth: number, counter: { left: number }): Condition {
  if (!isObject(where)) throw invalid(path, 'is not an object such as {"age": {"gt": 25}}')
  if (depth > deepest) throw invalid(path, `lies more than ${deepest} deep`)
  const of: Condition[] = []
  for (const [key, value] of Object.entries(where)) {
    const at = `${path}.${key}`
    if (key === 'and' || key === 'or') {
      if (!Array.isArray(value)) throw invalid(at, 'is not a list of conditions')
      of.push({ type: key, of: value.map((each, i) => readObject(`${at}[${i}]`, each, depth + 1, counter)) })
    } else if (key === 'not') of.push({ type: 'not', of: readObject(at, value, depth + 1, counter) })
    else of.push(...readColumn(at, key, value, depth, counter))
  }
  return of.length === 1 ? of[0]! : { type: 'and', of }
}

function readColumn(at: string, key: string, value: unknown, depth: number, counter: { left: number }): Condition[] {
  if (depth > deepest) throw invalid(at, `lies more than ${deepest} deep`)
  const path = parseColumnPath(at, key)
  const compare = (by: Comparison, operand: unknown): Condition => {
    if (counter.left-- <= 0) throw invalid(at, `is one of more than ${mostComparisons} comparisons`)
    return { type: 'compare', path, by, value: readOperand(`${at}.${by}`, by, operand) }
  }
  if (!isObject(value)) return [Array.isArray(value) ? compare('in', value) : compare('eq', value)]
  const entries = Object.entries(value)
  if (entries.length === 0) throw invalid(at, `is empty; give a value, or one of ${Object.keys(comparisons).join(', ')}`)
  return entries.map(([by, operand]): Condition => {
    if (by === 'not') return { type: 'not', of: { type: 'and', of: readColumn(`${at}.not`, key, operand, depth + 1, counter) } }
    return compare(toComparison(at, by), operand)
  })
}

/** A comparison by its name. @throws VALIDATION with the one that was likely meant. */
export function toComparison(path: string, name: string): Comparison {
  if (Object.hasOwn(comparisons, name)) return name as Comparison
  const meant = nearest(name, new Set(Object.keys(comparisons)))
  throw invalid(
    path,
    `'${name.slice(0, 40)}' is no comparison${meant ? `; did you mean ${meant}?` : `: ${Object.keys(comparisons).join(', ')}`}`,
  )
}

function readOperand(path: string, by: Comparison, operand: unknown) {
  if (by === 'is' && !(operand === null || typeof operand === 'boolean' || isValues.some((each) => each === operand))) {
    throw invalid(path, `takes ${isValues.join(', ')}`)
  }
  if (by === 'in') {
    if (!Array.isArray(operand)) throw invalid(path, 'takes a list')
    return arrayLiteral(path, operand)
  }
  return toSqlValue(path, operand)
}
