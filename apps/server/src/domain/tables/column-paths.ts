import { invalid } from '../../errors.ts'
import type { ColumnPath } from './conditions.ts'

/** A name without quotes, or one with: `"any ""thing"""`. */
const name = String.raw`(?:[\p{L}_][\p{L}\p{N}_$]*|"(?:[^"]|"")+")`
const pathPattern = new RegExp(`^\\s*(${name})((?:->>?(?:${name}|-?\\d+))*)\\s*$`, 'u')
const stepPattern = new RegExp(`(->>?)(${name}|-?\\d+)`, 'gu')

/** A name, without its quotes. */
export function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text
}

/**
 * Reads `column`, `column->key` or `column->0->>key`. A name that has more than letters, digits and `_` stands in double quotes.
 *
 * @param path - the field it came in, for the error.
 * @throws VALIDATION
 */
export function parseColumnPath(path: string, text: string): ColumnPath {
  const match = pathPattern.exec(text)
  if (!match)
    throw invalid(
      path,
      `${JSON.stringify(text.slice(0, 64))} is not a column; other names than letters, digits and _ stand in double quotes`,
    )
  const steps = [...match[2]!.matchAll(stepPattern)]
  const arrows = steps.map((step) => step[1])
  if (arrows.slice(0, -1).includes('->>')) throw invalid(path, `${JSON.stringify(text.slice(0, 64))} goes on after ->>, which gives text`)
  return { column: unquote(match[1]!), steps: steps.map((step) => unquote(step[2]!)), text: arrows.at(-1) === '->>' }
}

/** What may stand before a double quote that begins something, or goes on after `""`; another one is a part of a value, as in `5"`. */
const beforeQuote = /[\s.,:=<>(&"]/

/**
 * Cuts a text at commas that are not in quotes or brackets.
 *
 * @param path - the field it came in, for the error.
 * @throws VALIDATION when a bracket or quote that does not end hides a comma: what comes after it would be taken for a part of a value.
 */
export function splitList(path: string, text: string, separator = ','): string[] {
  const parts: string[] = []
  let depth = 0
  let quotes = false
  let start = 0
  let hides = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (depth === 0 && !quotes) hides = i
    if (c === '\\' && quotes) i++
    else if (c === '"') quotes = !quotes && (depth > 0 || i === start || beforeQuote.test(text[i - 1]!))
    else if (quotes) continue
    else if (c === '(' || c === '{' || c === '[') depth++
    else if (c === ')' || c === '}' || c === ']') depth = Math.max(0, depth - 1)
    else if (c === separator && depth === 0) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  if ((quotes || depth > 0) && text.includes(separator, hides)) {
    const rest = JSON.stringify(text.slice(hides, hides + 64))
    throw invalid(path, `has a bracket or quote that does not end: ${rest}; a value with brackets or quotes stands in double quotes`)
  }
  parts.push(text.slice(start))
  return parts
}
