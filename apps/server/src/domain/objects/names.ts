import { createHash } from 'node:crypto'
import type { Scope } from '../../store/ports.ts'

/** Bytes of a key at most. */
const mostKeyBytes = 1024

interface Rule {
  /** True for names that break it. */
  breaks(name: string): boolean
  /** What the rule says, after the name. */
  readonly says: string
}

/** S3's rules, so that buckets can be moved to and from there. */
const bucketRules: readonly Rule[] = [
  { breaks: (name) => name === '', says: 'is missing' },
  { breaks: (name) => name.length < 3 || name.length > 63, says: 'must have 3 to 63 characters' },
  { breaks: (name) => name.includes('_'), says: 'must have no underscore: use - instead' },
  { breaks: (name) => /[A-Z]/.test(name), says: 'must be in lower case' },
  { breaks: (name) => !/^[a-z0-9.-]+$/.test(name), says: 'must have only lower-case letters, digits, . and -' },
  { breaks: (name) => !/^[a-z0-9].*[a-z0-9]$/.test(name), says: 'must begin and end with a letter or a digit' },
  { breaks: (name) => name.includes('..'), says: 'must have no two dots in a row' },
  { breaks: (name) => name.includes('.-') || name.includes('-.'), says: 'must have no dash beside a dot' },
  { breaks: (name) => /^\d+\.\d+\.\d+\.\d+$/.test(name), says: 'must not look like an IP address' },
  {
    breaks: (name) => /^(xn--|sthree-|amzn-s3-demo-)/.test(name),
    says: 'must not begin with xn--, sthree- or amzn-s3-demo-, which S3 keeps for itself',
  },
  {
    breaks: (name) => /(-s3alias|--ol-s3|\.mrap|--x-s3)$/.test(name),
    says: 'must not end with -s3alias, --ol-s3, .mrap or --x-s3, which S3 keeps for itself',
  },
]

/** What is wrong with a bucket's name; undefined when nothing is. */
export function wrongBucketName(name: string): string | undefined {
  return bucketRules.find(({ breaks }) => breaks(name))?.says
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f]/

/** Half a character: no text in UTF-8 has one. */
export const loneSurrogate = /\p{Surrogate}/u

/** What is wrong with the beginning of a key; undefined when nothing is. */
export function wrongPrefix(prefix: string): string | undefined {
  if (loneSurrogate.test(prefix)) return 'must be well-formed Unicode'
  if (Buffer.byteLength(prefix) > mostKeyBytes) return `must have at most ${mostKeyBytes} bytes of UTF-8`
  if (control.test(prefix)) return 'must have no control characters'
  return undefined
}

/** What is wrong with a key; undefined when nothing is. URLs, which keys are part of, take `.` and `..` for directions. */
export function wrongKey(key: string): string | undefined {
  if (key === '') return 'is missing; give 1 to 1024 bytes of UTF-8'
  if (/(^|\/)\.\.?(\/|$)/.test(key)) return 'must have no . or .. between its slashes'
  return wrongPrefix(key)
}

/** Longest name of a folder that file systems take, with room to spare. */
const longestFolder = 200

/**
 * The name under which a backend keeps a blob: tenant, namespace, blob. It is made of letters, digits, `-`, `_` and `%` alone, and nothing
 * that a caller says can leave its part of it: keys and buckets are not in it.
 */
export function physicalName({ tenant, namespace }: Scope, blob: string): string {
  const folder = encodeURIComponent(namespace).replaceAll('.', '%2E')
  const place = folder.length <= longestFolder ? folder : createHash('sha256').update(namespace).digest('hex')
  return `${tenant}/${place}/${blob.slice(0, 2)}/${blob}`
}
