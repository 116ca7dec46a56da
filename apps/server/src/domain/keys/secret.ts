import { hash, randomBytes } from 'node:crypto'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const width = 43 // 62^43 > 2^256

/** A new secret: `mr_` and 256 random bits in base 62. */
export function createSecret(): string {
  let rest = BigInt(`0x${randomBytes(32).toString('hex')}`)
  let text = ''
  for (let i = 0; i < width; i++) {
    text = digits[Number(rest % 62n)] + text
    rest /= 62n
  }
  return `mr_${text}`
}

/** What is stored of a secret: its SHA-256. The secret has 256 random bits, so a slow hash would add nothing. */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

/** The first characters of a secret, to recognise it by. */
export function hintOf(secret: string): string {
  return secret.slice(0, 10)
}
