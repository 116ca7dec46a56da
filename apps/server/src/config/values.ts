import { readObjectsPlace } from './objects-place.ts'

/**
 * Checks a value from any source and makes it what the server uses; throws an `Error` that says what is allowed. Plain
 * functions: a schema library took a fifth of the time in which a server must be ready.
 */
export type Read<T> = (input: unknown) => T

/** Shows a wrong value in a message, short. */
function show(input: unknown): string {
  const text = typeof input === 'string' ? `'${input}'` : String(input)
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

const millisecondsIn: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * A duration: a number of milliseconds, or text such as `500ms`, `30s`, `5m`, `2h`, `7d`. Yields milliseconds.
 *
 * @param bounds - least and most milliseconds allowed.
 */
export function duration(bounds: { readonly min: number; readonly max: number }): Read<number> {
  return (input) => {
    const match = typeof input === 'number' ? ['', String(input), 'ms'] : /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(input))
    const ms = match ? Number(match[1]) * millisecondsIn[match[2] ?? 'ms']! : Number.NaN
    if (!(ms >= bounds.min && ms <= bounds.max)) {
      throw new Error(
        `${show(input)} is not a duration from ${formatDuration(bounds.min)} to ${formatDuration(bounds.max)}; give milliseconds or text such as 500ms, 30s, 5m, 2h, 7d`,
      )
    }
    return Math.round(ms)
  }
}

/** Writes milliseconds the way {@link duration} reads them. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    if (ms >= millisecondsIn[unit]! && ms % millisecondsIn[unit]! === 0) return `${ms / millisecondsIn[unit]!}${unit}`
  }
  return `${ms}ms`
}

const bytesIn: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/**
 * A size: a number of bytes, or text such as `512KiB`, `4MiB`. Yields bytes.
 *
 * @param bounds - least and most bytes allowed.
 */
export function size(bounds: { readonly min: number; readonly max: number }): Read<number> {
  return (input) => {
    const match = typeof input === 'number' ? ['', String(input), 'B'] : /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)?$/.exec(String(input))
    const bytes = match ? Math.round(Number(match[1]) * bytesIn[match[2] ?? 'B']!) : Number.NaN
    if (!(bytes >= bounds.min && bytes <= bounds.max)) {
      throw new Error(`${show(input)} is not a size from ${bounds.min} to ${bounds.max} bytes; give bytes or text such as 512KiB, 4MiB`)
    }
    return bytes
  }
}

/**
 * A whole number.
 *
 * @param bounds - least and most allowed.
 */
export function count(bounds: { readonly min: number; readonly max: number }): Read<number> {
  return (input) => {
    const text = String(input)
    const number = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= bounds.min && number <= bounds.max)) {
      throw new Error(`${show(input)} is not a whole number from ${bounds.min} to ${bounds.max}`)
    }
    return number
  }
}

/** Where to listen. */
export interface Address {
  /** A host name or an IP address, without brackets. */
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
}

/** `HOST:PORT`, `[::1]:PORT`, or what this schema yields. */
export const address: Read<Address> = (input) => {
  const text = typeof input === 'object' && input !== null ? formatAddress(input as Address) : String(input)
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text)
  const port = match ? Number(match[3]) : Number.NaN
  if (!match || !(port <= 65535)) {
    throw new Error(`${show(text)} is not HOST:PORT; give for example 127.0.0.1:50051, 0.0.0.0:50051, [::1]:50051; port 0 picks a free one`)
  }
  return { host: (match[1] ?? match[2])!, port }
}

/** {@link address}, or `off`. */
export const addressOrOff: Read<Address | 'off'> = (input) => {
  if (input === 'off') return input
  try {
    return address(input)
  } catch (error) {
    throw new Error(`${(error as Error).message}; off turns it off`)
  }
}

/** Origins of pages as browsers name them, with commas between them; `*` stands for any, `none` for none. Yields a list. */
export const originList: Read<readonly string[]> = (input) => {
  const origins = Array.isArray(input) ? input.map(String) : String(input) === 'none' ? [] : String(input).split(/ *, */)
  for (const origin of origins) {
    if (origin === '*' || URL.parse(origin)?.origin === origin) continue
    throw new Error(`${show(origin)} is not an origin; give for example https://app.example.com, several with commas, * for any or none`)
  }
  return origins
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Text that is not empty. */
export const text: Read<string> = (input) => {
  if (typeof input !== 'string' || input.trim() === '') throw new Error(`${show(input)} is not a text of at least one character`)
  return input
}

/** A switch: `true` or `false`, also as `1`, `0`. */
export const toggle: Read<boolean> = (input) => {
  if (input === true || input === 'true' || input === '1') return true
  if (input === false || input === 'false' || input === '0') return false
  throw new Error(`${show(input)} is neither true nor false`)
}

/**
 * One of some words.
 *
 * @param words - the words allowed.
 */
export function choice<const W extends string>(words: readonly W[]): Read<W> {
  return (input) => {
    const word = words.find((candidate) => candidate === input)
    if (word === undefined) throw new Error(`${show(input)} is none of ${words.join(', ')}`)
    return word
  }
}

/**
 * Some of the words allowed, with commas between them. Yields a list without repetitions.
 *
 * @param words - the words allowed.
 */
export function choices<const W extends string>(words: readonly W[]): Read<readonly W[]> {
  const read = choice(words)
  return (input) => [...new Set((Array.isArray(input) ? input : String(input).split(/ *, */)).map(read))]
}

/** A secret that is hard to guess: at least 32 characters without blanks. Its value is never shown. */
export const secret: Read<string> = (input) => {
  if (typeof input !== 'string' || !/^[\x21-\x7e]{32,255}$/.test(input)) {
    throw new Error(
      'too weak or malformed; give 32 to 255 printable ASCII characters without blanks, for example the output of: openssl rand -base64 36',
    )
  }
  return input
}

/** Where objects are: see {@link readObjectsPlace}. */
export const objectsUrl: Read<string> = (input) => {
  readObjectsPlace(String(input))
  return String(input)
}

/** An `http` or `https` URL without a query; yields it without a slash at its end. */
export const httpUrl: Read<string> = (input) => {
  const url = URL.parse(String(input))
  if (url && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === '')
    return url.href.replace(/\/+$/, '')
  throw new Error(`${show(input)} is not the URL of a server; give for example https://api.example.com`)
}

/** Where the store is: `sqlite:` in the data directory, or `sqlite:PATH`. */
export const storeUrl: Read<string> = (input) => {
  const url = String(input)
  if (url.startsWith('sqlite:') && !url.startsWith('sqlite://')) return url
  if (/^postgres(ql)?:\/\//.test(url)) return url
  throw new Error(
    `${show(url)} is not a store this version knows; give sqlite: (in the data directory), sqlite:PATH (a directory) or postgres://USER:PASSWORD@HOST:PORT/DATABASE`,
  )
}

/** Where tables are: `pglite:` in the data directory, `pglite:PATH`, or a Postgres. */
export const tablesUrl: Read<string> = (input) => {
  const url = String(input)
  if (url.startsWith('pglite:') && !url.startsWith('pglite://')) return url
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return url
  throw new Error(
    `${show(url)} is not a place for tables; give pglite: (in the data directory), pglite:PATH (a directory) or postgres://USER:PASSWORD@HOST:PORT/DATABASE`,
  )
}
