import { invalid } from '../../../errors.ts'

/** When counting began: all servers of the protocol count cursors from then. */
const cursorsBegin = Date.UTC(2024, 9, 9)
const cursorMs = 20_000
/** By how much a cursor is put ahead that a cache would give again, in seconds at most. */
const mostAhead = 3600

const digits = 16
const nothing = '0'.repeat(digits)

/** An offset as readers see it: texts that sort as the offsets do. */
export function offsetText(offset: number): string {
  return `${String(offset).padStart(digits, '0')}_${nothing}`
}

/**
 * The offset that {@link offsetText} wrote.
 *
 * @throws VALIDATION
 */
export function readOffset(path: string, text: string): number {
  const offset = /^\d{16}_\d{16}$/.test(text) ? Number(text.slice(0, digits)) : Number.NaN
  if (!Number.isSafeInteger(offset)) throw invalid(path, 'is not an offset that this server gave; take it from Stream-Next-Offset')
  return offset
}

/** Changes with time, and is always after the reader's own, so that no cache between gives an answer twice. */
export function nextCursor(now: number, given: string | null): string {
  const current = Math.floor((now - cursorsBegin) / cursorMs)
  const own = given !== null && /^\d{1,15}$/.test(given) ? Number(given) : -1
  if (own < current) return String(current)
  const ahead = 1 + Math.floor(Math.random() * mostAhead)
  return String(own + Math.max(1, Math.ceil((ahead * 1000) / cursorMs)))
}
