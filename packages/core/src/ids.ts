const timeDigits = 10
const randomDigits = 16

/**
 * A name for a request that no other request has: 10 digits of time, so that they sort by it, and 80 random bits.
 *
 * @param now - milliseconds since 1970.
 */
export function createRequestId(now: number): string {
  let id = now.toString(32).padStart(timeDigits, '0')
  for (const byte of crypto.getRandomValues(new Uint8Array(randomDigits))) id += (byte & 31).toString(32)
  return id
}
