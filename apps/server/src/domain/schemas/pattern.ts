import { RE2JS } from '@bufbuild/re2'

/** A regular expression. */
export interface CompiledPattern {
  /** As of {@link sizeOfPattern}: testing a text takes time in proportion to this and the text's length. */
  readonly size: number
  readonly test: (text: string) => boolean
}

/** What one pattern may come to. */
export const mostPatternSize = 5000

/**
 * Compiles a pattern of a JSON Schema so that matching takes time linear in the text. RE2 has no look-around and no
 * back-references, and writes `\u00e9` as `\x{00e9}`.
 *
 * @throws when it is not one.
 */
export function compilePattern(pattern: string): CompiledPattern {
  const compiled = RE2JS.compile(pattern.replace(/\\(?:u([\da-f]{4})|.)/gis, (whole, code?: string) => (code ? `\\x{${code}}` : whole)))
  return { size: sizeOfPattern(pattern), test: (text) => compiled.test(text) }
}

/** A text in quotes, an escape, a class, a repetition, a bracket, or any other character. */
const tokens = /\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|./gsu

/**
 * How long a pattern is when its repetitions are written out, or somewhat longer: known without compiling it, as that takes
 * a time and memory of this size. `(ab){3}` is as long as `ababab`.
 */
export function sizeOfPattern(pattern: string): number {
  /** Of the groups that are open, where they began. */
  const begins: number[] = []
  let size = 0
  /** Where that begins which a repetition repeats. */
  let last = 0
  for (const [token, least, most] of pattern.matchAll(tokens)) {
    if (least !== undefined) {
      // Without a most, there is one more that repeats.
      size = last + (size - last) * Math.max(Number(least) + (most === '' ? 1 : 0), Number(most ?? 0), 1)
      continue
    }
    last = token === ')' ? (begins.pop() ?? 0) : size
    if (token === '(') begins.push(size)
    size += token.startsWith('\\Q') ? token.length : 1
  }
  return size
}
