import type { Seq } from '../../store/ports.ts'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz' // Crockford's base 32, so that ids sort as their numbers do
const width = 11 // 32^11 > 2^53
const digitOf = new Map([...alphabet].map((digit, value) => [digit, value]))

/** Writes a number so that text order is number order: 11 digits of Crockford's base 32. */
export function encodeSeq(seq: Seq): string {
  let text = ''
  let high = Math.floor(seq / 2 ** 30)
  let low = seq % 2 ** 30
  for (let i = 0; i < 6; i++) {
    text = alphabet[low & 31] + text
    low >>>= 5
  }
  for (let i = 6; i < width; i++) {
    text = alphabet[high & 31] + text
    high >>>= 5
  }
  return text
}

/** Reads what {@link encodeSeq} wrote; undefined for anything else. */
export function decodeSeq(text: string): Seq | undefined {
  if (text.length !== width) return undefined
  let seq = 0
  for (const digit of text) {
    const value = digitOf.get(digit)
    if (value === undefined) return undefined
    seq = seq * 32 + value
  }
  return Number.isSafeInteger(seq) ? seq : undefined
}

/** What an id names; also its prefix. */
export type IdKind = 'pipe' | 'job' | 'task' | 'batch' | 'key'

/** `task_0001h2v…` */
export function formatId(kind: IdKind, seq: Seq): string {
  return `${kind}_${encodeSeq(seq)}`
}

/** The number of an id of this kind; undefined when it is not one. */
export function parseId(kind: IdKind, id: string): Seq | undefined {
  return id.startsWith(`${kind}_`) ? decodeSeq(id.slice(kind.length + 1)) : undefined
}

/** The id of a job: a task's when it has a function. */
export function jobId(job: { readonly seq: Seq; readonly function: string }): string {
  return formatId(job.function === '' ? 'job' : 'task', job.seq)
}

/** The number in a job's or task's id. */
export function parseJobId(id: string): Seq | undefined {
  return parseId('job', id) ?? parseId('task', id)
}
