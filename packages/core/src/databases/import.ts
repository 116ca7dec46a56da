import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import type { ImportOptions } from './types.ts'

/** Bytes of one part. */
const partBytes = 1024 * 1024

const formats = ['csv', 'parquet', 'json'] as const
const modes = ['create', 'append', 'replace'] as const
const encoder = new TextEncoder()

/** Sends a file in parts, and has its rows imported. */
export async function importRows(
  context: ClientContext,
  database: string,
  table: string,
  source: AsyncIterable<Uint8Array | string | object> | Iterable<Uint8Array | string | object>,
  options: ImportOptions,
): Promise<number> {
  const format = toFormat(options.format ?? 'json')
  const mode = toMode(options.mode)
  const upload = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
  let size = 0
  const send = async (data: Uint8Array): Promise<void> => {
    // Sent again, a part takes its own place.
    await context.safe('DatabaseService/WriteUpload', { database, upload, offset: size, data }, options)
    size += data.length
  }
  let parts: Uint8Array[] = []
  let gathered = 0
  for await (const piece of source) {
    for (let bytes = toBytes(piece); bytes.length > 0; ) {
      const part = bytes.subarray(0, partBytes - gathered)
      parts.push(part)
      gathered += part.length
      bytes = bytes.subarray(part.length)
      if (gathered < partBytes) continue
      await send(joined(parts, gathered))
      parts = []
      gathered = 0
    }
  }
  if (gathered > 0 || size === 0) await send(joined(parts, gathered))
  const { timeoutMs } = context.bounds(options)
  const request = { database, upload, table, format, mode, timeoutMs, size }
  return (await context.unsafe('DatabaseService/ImportUpload', request, options)).rows
}

/** @returns 0, which leaves it to the server, when nothing is said. */
export function toFormat(format: ImportOptions['format']): wire.FileFormat {
  const index = format === undefined ? 0 : formats.indexOf(format) + 1
  if (format !== undefined && index === 0) throw invalid('format', `'${format}' is not one of ${formats.join(', ')}.`)
  return index as wire.FileFormat
}

export function toMode(mode: ImportOptions['mode'] = 'create'): wire.ImportMode {
  const index = modes.indexOf(mode) + 1
  if (index === 0) throw invalid('mode', `'${mode}' is not one of ${modes.join(', ')}.`)
  return index as wire.ImportMode
}

function toBytes(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece
  if (typeof piece === 'string') return encoder.encode(piece)
  if (typeof piece !== 'object' || piece === null) throw invalid('source', `gave a ${typeof piece}, not bytes, text or an object.`)
  return encoder.encode(`${JSON.stringify(piece, toJsonValue)}\n`)
}

/** What JSON has not: large whole numbers go as text, which becomes a number again in a column of numbers. */
function toJsonValue(this: Readonly<Record<string, unknown>>, name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  // Of itself: a Buffer has a form in JSON, which is none for a column. Of the others JSON makes NULL, and an object without fields.
  const own = this[name]
  const isBytes = own instanceof Uint8Array
  if (isBytes || own instanceof Map || own instanceof Set || (typeof own === 'number' && !Number.isFinite(own)))
    throw invalid('source', `gave an object with ${isBytes ? 'bytes' : own} in '${name}'; JSON has none: give text.`)
  return value
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
