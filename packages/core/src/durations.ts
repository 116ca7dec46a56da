import { invalid } from './errors/errors.ts'

/** A length of time: milliseconds, or text such as `'500ms'`, `'30s'`, `'5m'`, `'2h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * A duration in whole milliseconds; 0 for one that is not given.
 *
 * @param path - name of the option, for the error.
 * @param value - what the user gave.
 * @throws ValidationError when it is not a duration, is negative or is not finite.
 */
export function toMs(path: string, value: Duration = 0): number {
  const ms = typeof value === 'string' ? parse(value) : value
  if (typeof ms !== 'number' || !(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
    throw invalid(path, `'${String(value)}' is not a duration. Use milliseconds, or text like '500ms', '30s', '7d'.`)
  }
  return Math.round(ms)
}

function parse(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  return match ? Number(match[1]) * unitMs[match[2] as string]! : Number.NaN
}
