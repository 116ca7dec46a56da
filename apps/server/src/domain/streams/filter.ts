import { celEnv, parse, plan } from '@bufbuild/cel'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { invalid, type MillraceError } from '../../errors.ts'
import type { StreamMessage } from '../../store/stream-port.ts'

/** Says whether a message is wanted. */
export type Filter = (
  message: StreamMessage,
  at: { readonly partition: number; readonly offset: number; readonly timestamp: number },
) => boolean

/** What a filter knows of a message. */
const names = ['payload', 'headers', 'key', 'partition', 'offset', 'timestamp']
const mostCharacters = 1024
const env = celEnv()

/**
 * Compiles an expression in CEL (https://cel.dev). Its regular expressions take linear time, and macros that loop are refused,
 * so that what it costs is bounded by the message.
 *
 * @throws MillraceError VALIDATION with the position of what is wrong.
 */
export function compileFilter(text: string): Filter {
  if (text.length > mostCharacters) throw wrong(`has ${text.length} characters; at most ${mostCharacters} are allowed`)
  const parsed = parseFilter(text)
  const used = new Set<string>()
  check(parsed.expr, used)
  const run = plan(env, parsed)
  return (message, { partition, offset, timestamp }) => {
    const known: Record<string, unknown> = {
      headers: message.headers,
      key: message.key,
      partition: BigInt(partition),
      offset: BigInt(offset),
    }
    if (used.has('timestamp')) known.timestamp = timestampFromMs(timestamp)
    if (used.has('payload')) known.payload = jsonOf(message)
    // What cannot be told of a message, such as a field that it lacks, comes back as an error: it is not wanted.
    return run(known as Parameters<typeof run>[0]) === true
  }
}

function parseFilter(text: string): ReturnType<typeof parse> {
  try {
    return parse(text)
  } catch (error) {
    const { location, rawMessage } = error as Error & { location?: { start: { line: number; column: number } }; rawMessage?: string }
    if (location === undefined) throw wrong((error as Error).message)
    const { line, column } = location.start
    throw wrong(`line ${line}, column ${column}: ${rawMessage ?? (error as Error).message}`)
  }
}

/** Looks for names that there are not, and for loops. */
function check(node: unknown, used: Set<string>): void {
  if (typeof node !== 'object' || node === null) return
  const { exprKind } = node as { exprKind?: { case?: string; value?: { name?: string } } }
  if (exprKind?.case === 'comprehensionExpr')
    throw wrong('has a macro that loops (all, exists, exists_one, map, filter); filters have none')
  if (exprKind?.case === 'identExpr') {
    const name = exprKind.value?.name ?? ''
    if (!names.includes(name)) throw wrong(`'${name.slice(0, 64)}' is not known; there are ${names.join(', ')}`)
    used.add(name)
  }
  for (const value of Object.values(node)) check(value, used)
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
