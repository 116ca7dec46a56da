import { randomBytes } from 'node:crypto'

/** The header that names a call. */
export const requestIdHeader = 'request-id'

/** Random start of this process's own ids; a counter makes each one unique without asking for more randomness. */
const prefix = randomBytes(6).toString('base64url')
let counter = 0

/** The caller's name for the call when it is a sensible one, else a new one. */
export function requestIdOf(given: string | undefined): string {
  if (given !== undefined && /^[\x21-\x7e]{1,128}$/.test(given)) return given
  counter++
  return `${prefix}${counter.toString(36)}`
}
