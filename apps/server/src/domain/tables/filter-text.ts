import { invalid } from '../../errors.ts'
import { parseColumnPath, splitList } from './column-paths.ts'
import { type Comparison, type Condition, isValues } from './conditions.ts'
import { toComparison } from './filter-object.ts'
import { arrayLiteral } from './values.ts'

/** Where the text came in. */
const field = 'filter.text'
/** How deep brackets may lie in each other, and comparisons in one filter. */
const deepest = 32
const mostComparisons = 1000

/** Names that PostgREST has for some comparisons. */
const aliases: ReadonlyMap<string, Comparison> = new Map([
  ['neq', 'ne'],
  ['cs', 'contains'],
  ['cd', 'containedBy'],
  ['ov', 'overlaps'],
])
const signs: Readonly<Record<string, Comparison>> = { '>': 'gt', '>=': 'gte', '<': 'lt', '<=': 'lte', '!=': 'ne', '<>': 'ne' }

const column = String.raw`(?:[\p{L}_][\p{L}\p{N}_$]*|"(?:[^"]|"")+")(?:->>?(?:[\p{L}_][\p{L}\p{N}_$]*|"(?:[^"]|"")+"|-?\d+))*`
const groupPattern = /^(not\.)?(and|or)=?(\(.*\))$/su
const comparePattern = new RegExp(`^\\s*(${column})\\s*(>=|<=|<>|!=|>(?!>)|<|=)\\s*(.*)$`, 'su')
const memberPattern = new RegExp(`^\\s*(${column})\\.(.*)$`, 'su')

/**
 * Reads a filter as PostgREST writes it, `age=gt.25&or=(name.eq.Bob,name.like.A*)`, and plain comparisons, `age>25`.
 *
 * @throws VALIDATION
 */
export function readFilterText(text: string): Condition {
  const counter = { left: mostComparisons }
  const of = splitList(field, text, '&').map((term) => readTerm(term, counter))
  return of.length === 1 ? of[0]! : { type: 'and', of }
}

function readTerm(term: string, counter: { left: number }): Condition {
  const group = groupPattern.exec(term.trim())
  if (group) return readGroup(group, 0, counter)
  const match = comparePattern.exec(term)
  if (!match) throw invalid(field, `${show(term)} is not a comparison such as age=gt.25, age>25 or name=eq.Bob`)
  const [, name = '', sign = '', rest = ''] = match
  if (sign === '=') return readOperation(name, rest, 0, counter)
  return compare(name, signs[sign]!, rest, counter)
}

function readGroup(group: RegExpExecArray, depth: number, counter: { left: number }): Condition {
  if (depth > deepest) throw invalid(field, `has more than ${deepest} brackets in each other`)
  const [, not, type, list = ''] = group
  const of = splitList(field, list.slice(1, -1)).map((member): Condition => {
    const inner = groupPattern.exec(member.trim())
    if (inner) return readGroup(inner, depth + 1, counter)
    const match = memberPattern.exec(member)
    if (!match) throw invalid(field, `${show(member)} is not a comparison such as age.gt.25`)
    return readOperation(match[1]!, match[2]!, depth, counter)
  })
  const condition: Condition = { type: type as 'and' | 'or', of }
  return not ? { type: 'not', of: condition } : condition
}

/** What follows a column: `gt.25`, `not.is.null`. */
function readOperation(name: string, text: string, depth: number, counter: { left: number }): Condition {
  if (depth > deepest) throw invalid(field, `has more than ${deepest} 'not' and brackets in each other`)
  const dot = text.indexOf('.')
  const operator = dot < 0 ? text : text.slice(0, dot)
  const rest = dot < 0 ? '' : text.slice(dot + 1)
  if (operator === 'not') return { type: 'not', of: readOperation(name, rest, depth + 1, counter) }
  if (dot < 0) throw invalid(field, `${show(`${name}=${text}`)} names no comparison; write ${name}=eq.${text.slice(0, 32)}`)
  return compare(name, aliases.get(operator) ?? toComparison(field, operator), rest, counter)
}

function compare(name: string, by: Comparison, text: string, counter: { left: number }): Condition {
  if (counter.left-- <= 0) throw invalid(field, `has more than ${mostComparisons} comparisons`)
  if (text.includes('\0')) throw invalid(field, 'contains a zero byte, which text in Postgres cannot')
  return { type: 'compare', path: parseColumnPath(field, name), by, value: readValue(name, by, text) }
}

function readValue(name: string, by: Comparison, text: string): string {
  if (by === 'in') {
    if (!/^\(.*\)$/s.test(text)) throw invalid(field, `${show(text)} is not a list; write ${name}=in.(1,2,3)`)
    const list = text.slice(1, -1)
    return arrayLiteral(field, list === '' ? [] : splitList(field, list).map((each) => withoutQuotes(each.trim())))
  }
  if (by === 'is' && !isValues.some((word) => word === text.toLowerCase())) throw invalid(field, `'is' takes ${isValues.join(', ')}`)
  const value = withoutQuotes(text)
  return by === 'like' || by === 'ilike' ? value.replaceAll('*', '%') : value
}

/** A value without the double quotes that keep commas, brackets and & from being read. */
function withoutQuotes(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text
}

function show(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 60)}…` : text)
}
