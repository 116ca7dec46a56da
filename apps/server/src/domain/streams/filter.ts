import { parse, plan } from '@bufbuild/cel'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { invalid, type MillraceError } from '../../errors.ts'
import type { StreamMessage } from '../../store/stream-port.ts'
import { unmark } from '../schemas/guard.ts'
import { compilePattern, mostPatternSize, sizeOfPattern } from '../schemas/pattern.ts'
import { env, takesArguments, type Work, withWork } from './filter-functions.ts'

/**
 * Says whether a message is wanted.
 *
 * @throws MillraceError VALIDATION when telling takes more work than a message of its size is worth.
 */
export type Filter = (
  message: StreamMessage,
  at: { readonly partition: number; readonly offset: number; readonly timestamp: number },
) => boolean

/** What a filter knows of a message. */
const names = ['payload', 'headers', 'key', 'partition', 'offset', 'timestamp']
const mostCharacters = 1024
/** Work that each message is worth, and each of its bytes: see {@link Work}. */
const work = { message: 50_000, byte: 32 }

/**
 * Compiles an expression in CEL (https://cel.dev). Macros that loop are refused, regular expressions are known beforehand and
 * take linear time, and what the functions do is counted, so that what it costs is bounded by the message.
 *
 * @throws MillraceError VALIDATION with the position of what is wrong.
 */
export function compileFilter(text: string): Filter {
  if (text.length > mostCharacters) throw wrong(`has ${text.length} characters; at most ${mostCharacters} are allowed`)
  try {
    return compile(text)
  } catch (error) {
    if (error instanceof RangeError) throw wrong('is nested too deeply')
    throw error
  }
}

function compile(text: string): Filter {
  const parsed = parseFilter(text)
  const found: Found = { names: new Set(), patterns: new Map() }
  check(parsed.expr, found, (id, message) => wrong(`${placeOf(text, parsed.sourceInfo?.positions[String(id)])}${message}`))
  const run = plan(env, parsed)
  return (message, { partition, offset, timestamp }) => {
    const known: Record<string, unknown> = { key: message.key, partition: BigInt(partition), offset: BigInt(offset) }
    if (found.names.has('headers')) known.headers = unmark(message.headers).headers
    if (found.names.has('timestamp')) known.timestamp = timestampFromMs(timestamp)
    if (found.names.has('payload')) known.payload = jsonOf(message)
    const budget: Work = { left: work.message + work.byte * message.payload.length, patterns: found.patterns }
    // What cannot be told of a message, such as a field that it lacks, comes back as an error: it is not wanted.
    const wanted = withWork(budget, () => run(known as Parameters<typeof run>[0]) === true)
    if (budget.left < 0) throw wrong(`takes too long for the message ${offset} of partition ${partition}; ask for less of it`)
    return wanted
  }
}

function parseFilter(text: string): ReturnType<typeof parse> {
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof RangeError) throw error
    const { location, rawMessage } = error as Error & { location?: { start: { line: number; column: number } }; rawMessage?: string }
    if (location === undefined) throw wrong((error as Error).message)
    const { line, column } = location.start
    throw wrong(`line ${line}, column ${column}: ${rawMessage ?? (error as Error).message}`)
  }
}

/** What is found in an expression. */
interface Found {
  readonly names: Set<string>
  /** Regular expressions by their texts. */
  readonly patterns: Map<string, ReturnType<typeof compilePattern>>
}

/** A part of an expression, as far as it is looked at. */
interface Part {
  readonly id?: unknown
  readonly exprKind?: {
    readonly case?: string
    readonly value?: { readonly name?: string; readonly function?: string; readonly target?: Part; readonly args?: readonly Part[] }
  }
}

type Wrong = (id: unknown, message: string) => MillraceError

/** Looks for names and functions that there are not, for loops, and for regular expressions. */
function check(node: unknown, found: Found, wrongAt: Wrong): void {
  if (typeof node !== 'object' || node === null) return
  const { id, exprKind } = node as Part
  if (exprKind?.case === 'comprehensionExpr')
    throw wrongAt(id, 'there is a macro that loops (all, exists, exists_one, map, filter); filters have none')
  if (exprKind?.case === 'identExpr') {
    const name = exprKind.value?.name ?? ''
    if (!names.includes(name)) throw wrongAt(id, `'${name.slice(0, 64)}' is not known; there are ${names.join(', ')}`)
    found.names.add(name)
  }
  for (const value of Object.values(node)) check(value, found, wrongAt)
  if (exprKind?.case === 'callExpr') checkCall(node as Part, found, wrongAt)
}

function checkCall({ id, exprKind }: Part, found: Found, wrongAt: Wrong): void {
  const { function: name = '', target, args = [] } = exprKind?.value ?? {}
  // Others are operators.
  if (!/^[A-Za-z]/.test(name)) return
  const takes = takesArguments(name, target !== undefined)
  if (takes.length === 0) throw wrongAt(id, `there is no ${target ? 'method' : 'function'} '${name.slice(0, 64)}'`)
  if (!takes.includes(args.length))
    throw wrongAt(id, `'${name}' takes ${takes.join(' or ')} argument${takes.at(-1) === 1 ? '' : 's'}, not ${args.length}`)
  if (name === 'matches') checkPattern(args[0], found, wrongAt)
}

function checkPattern(arg: Part | undefined, { patterns }: Found, wrongAt: Wrong): void {
  const constant = arg?.exprKind?.case === 'constExpr' ? (arg.exprKind.value as { constantKind?: { value?: unknown } }) : undefined
  const pattern = constant?.constantKind?.value
  if (typeof pattern !== 'string') throw wrongAt(arg?.id, "'matches' takes its regular expression as a text between quotes")
  if (sizeOfPattern(pattern) > mostPatternSize)
    throw wrongAt(arg?.id, 'the regular expression is too large when its repetitions are written out')
  try {
    patterns.set(pattern, compilePattern(pattern))
  } catch (error) {
    throw wrongAt(arg?.id, `this is not a regular expression of RE2: ${(error as Error).message}`)
  }
}

/** Where in a text a place is, for people. */
function placeOf(text: string, place: number | undefined): string {
  if (place === undefined) return ''
  const before = text.slice(0, place).split('\n')
  return `line ${before.length}, column ${before.at(-1)!.length + 1}: `
}

function jsonOf({ payload, contentType }: StreamMessage): unknown {
  if (contentType !== '' && !contentType.startsWith('application/json')) return undefined
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
  } catch {
    // Whoever wrote it called it JSON, but it is not: it has no fields.
    return undefined
  }
}

function wrong(message: string): MillraceError {
  return invalid('filter', message)
}
