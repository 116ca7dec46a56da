import { type Option, UsageError } from './command.ts'

const millisecondsIn: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A flag's value as text; undefined when it was not given. */
export function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

type Flags = Readonly<Record<string, string | true | readonly string[]>>

/**
 * A duration flag in milliseconds; 0 when it was not given.
 *
 * @throws {@link UsageError}
 */
export function durationFlag(flags: Flags, name: string): number {
  const value = textFlag(flags, name)
  if (value === undefined) return 0
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(value)
  if (!match) throw new UsageError(`--${name}: '${value}' is not a duration; give milliseconds or text such as 500ms, 30s, 5m, 2h, 7d`)
  return Math.round(Number(match[1]) * millisecondsIn[match[2] ?? 'ms']!)
}

/** What a flag stands for; undefined when it is not given. @throws {@link UsageError} */
export function choiceFlag<T>(flags: Flags, name: string, meanings: Readonly<Record<string, T>>): T | undefined {
  const given = textFlag(flags, name)
  if (given === undefined) return undefined
  const meaning = Object.hasOwn(meanings, given) ? meanings[given] : undefined
  if (meaning === undefined) throw new UsageError(`--${name} is one of ${Object.keys(meanings).join(', ')}`)
  return meaning
}

/**
 * A whole-number flag; 0 when it was not given. Bounds are the server's business.
 *
 * @throws {@link UsageError}
 */
export function integerFlag(flags: Flags, name: string): number {
  const value = textFlag(flags, name) ?? '0'
  if (!/^-?\d{1,9}$/.test(value)) throw new UsageError(`--${name}: '${value}' is not a whole number`)
  return Number(value)
}

/**
 * The flag `--limit`, from 1 on; `otherwise` when it was not given.
 *
 * @throws {@link UsageError}
 */
export function limitFlag(flags: Flags, otherwise: number): number {
  if (textFlag(flags, 'limit') === undefined) return otherwise
  const limit = integerFlag(flags, 'limit')
  if (limit < 1) throw new UsageError(`--limit: ${limit} shows nothing; give 1 or more`)
  return limit
}

const priorities: Record<string, number> = { low: -10, normal: 0, high: 10, critical: 100 }

/**
 * The flag `--priority`: a number or one of the four words.
 *
 * @throws {@link UsageError}
 */
export function priorityFlag(flags: Flags): number {
  const value = textFlag(flags, 'priority')
  if (value === undefined) return 0
  if (value in priorities) return priorities[value]!
  if (!/^-?\d{1,9}$/.test(value))
    throw new UsageError(`--priority: '${value}' is none of ${Object.keys(priorities).join(', ')} and not a whole number`)
  return Number(value)
}

/**
 * A repeated flag of the form NAME=VALUE.
 *
 * @throws {@link UsageError}
 */
export function pairsFlag(flags: Flags, name: string): Record<string, string> {
  const pairs = (flags[name] as readonly string[] | undefined) ?? []
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new UsageError(`--${name}: '${pair}' is not NAME=VALUE`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/**
 * A payload as given on the command line: JSON text, `-` for standard input, nothing for null.
 *
 * @param name - what the help calls it, for the error.
 * @throws {@link UsageError} when it is not JSON.
 */
export async function readPayload(word: string | undefined, stdin: AsyncIterable<Uint8Array>, name = 'PAYLOAD'): Promise<Uint8Array> {
  return readJson(name, word === '-' ? await readAll(stdin) : (word ?? 'null'))
}

/** The limit on how many are at work at a time; undefined when none is given. */
function concurrencyFlags(flags: Flags): { key: string; limit: number } | undefined {
  const limit = integerFlag(flags, 'concurrency-limit')
  const key = textFlag(flags, 'concurrency-key')
  if (limit === 0 && key !== undefined) throw new UsageError('--concurrency-key needs --concurrency-limit')
  return limit === 0 ? undefined : { key: key ?? '', limit }
}

/** The limit on how many start within a time; undefined when none is given. */
function rateLimitFlags(flags: Flags): { key: string; limit: number; perMs: number } | undefined {
  const limit = integerFlag(flags, 'rate-limit')
  const key = textFlag(flags, 'rate-limit-key')
  const perMs = durationFlag(flags, 'rate-limit-per')
  if (limit === 0 && (key !== undefined || perMs !== 0)) throw new UsageError('--rate-limit-key and --rate-limit-per need --rate-limit')
  return limit === 0 ? undefined : { key: key ?? '', limit, perMs: perMs || 60_000 }
}

/** What is to become of it beside others, and in time. */
export function flowFlags(flags: Flags) {
  const debounce = durationFlag(flags, 'debounce')
  const maxDelayMs = durationFlag(flags, 'debounce-max')
  const windowMs = durationFlag(flags, 'deduplicate')
  const key = textFlag(flags, 'trigger-key')
  if (maxDelayMs !== 0 && debounce === 0) throw new UsageError('--debounce-max needs --debounce')
  if (key !== undefined && debounce === 0 && windowMs === 0) throw new UsageError('--trigger-key needs --debounce or --deduplicate')
  return {
    concurrency: concurrencyFlags(flags),
    rateLimit: rateLimitFlags(flags),
    fairKey: textFlag(flags, 'fair-key') ?? '',
    debounce: debounce === 0 ? undefined : { key: key ?? '', delayMs: debounce, maxDelayMs },
    deduplicate: windowMs === 0 ? undefined : { key: key ?? '', windowMs },
    expiresInMs: durationFlag(flags, 'expires-in'),
  }
}

/** The flags of {@link flowFlags}. */
export const flowOptions: readonly Option[] = [
  { name: 'concurrency-limit', placeholder: 'N', help: 'So many may be at work at a time in the queue; others wait.' },
  { name: 'concurrency-key', placeholder: 'KEY', help: 'The limit is for this key alone, such as a customer.' },
  { name: 'rate-limit', placeholder: 'N', help: 'So many may start within --rate-limit-per in the queue; others wait.' },
  { name: 'rate-limit-per', placeholder: 'TIME', help: 'The window of --rate-limit; 1m if not given.' },
  { name: 'rate-limit-key', placeholder: 'KEY', help: 'The rate limit is for this key alone, such as a customer.' },
  { name: 'fair-key', placeholder: 'KEY', help: 'Whose it is, such as a customer: keys take turns in the queue.' },
  { name: 'debounce', placeholder: 'TIME', help: 'Start so long after the last one with the same --trigger-key, once for all.' },
  { name: 'debounce-max', placeholder: 'TIME', help: 'And at most so long after the first; with --debounce.' },
  { name: 'deduplicate', placeholder: 'TIME', help: 'The same --trigger-key within this time returns the first one.' },
  { name: 'trigger-key', placeholder: 'KEY', help: 'What --debounce or --deduplicate goes by.' },
  { name: 'expires-in', placeholder: 'TIME', help: 'Cancel it unless a worker has begun it by then.' },
]

/** Text that must be JSON. @param name - what it is, for the error. */
export function readJson(name: string, text: string): Uint8Array {
  try {
    JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${name} is not JSON (${(error as Error).message}); a text needs quotes of its own: '"text"'`)
  }
  return Buffer.from(text)
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** A payload or result for JSON output: its value when it is JSON, else its bytes in base64. */
export function decodePayload(bytes: Uint8Array, contentType: string): unknown {
  if (bytes.length === 0) return undefined
  if (contentType === '' || contentType === 'application/json') {
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8'))
    } catch {
      // Whoever wrote it called it JSON, but it is not: show the bytes.
    }
  }
  return { contentType, base64: Buffer.from(bytes).toString('base64') }
}

/** A payload or result on one line, for people. */
export function showPayload(bytes: Uint8Array, contentType: string): string {
  const value = decodePayload(bytes, contentType)
  return value === undefined ? '' : JSON.stringify(value)
}

/** A date for people, to the second, in UTC. */
export function showTime(date: Date | undefined): string {
  return date ? `${date.toISOString().slice(0, 19).replace('T', ' ')}Z` : ''
}

/** Milliseconds for people: `340ms`, `12s`, `5m`, `3h`, `2d`. */
export function showAge(ms: number): string {
  for (const [unit, length] of Object.entries(millisecondsIn).reverse()) {
    if (ms >= length) return `${Math.floor(ms / length)}${unit}`
  }
  return '0'
}
