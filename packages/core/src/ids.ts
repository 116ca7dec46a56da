const alphabet = '0123456789abcdefghjkmnpqrstvwxyz' // Crockford's base 32, so that text order is number order
const timeDigits = 10
const randomBytes = 16

/**
 * A name for a request that no other request has: 10 digits of time, so that they sort by it, and 80 random bits.
 *
 * @param now - milliseconds since 1970.
 */
export function createRequestId(now: number): string {
  let id = ''
  for (let i = 0, rest = now; i < timeDigits; i++, rest = Math.floor(rest / 32)) id = alphabet[rest % 32] + id
  for (const byte of crypto.getRandomValues(new Uint8Array(randomBytes))) id += alphabet[byte & 31]
  return id
}
