import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Which file to measure. */
export interface MeasureInput {
  readonly folder: string
  readonly path: string
}

/** What was found in one file. */
export interface Measurement {
  readonly path: string
  /** SHA-256, hexadecimal. */
  readonly hash: string
  readonly lines: number
  readonly words: number
  /** Characters of the longest line. */
  readonly longestLine: number
}

/** What was found in all files. */
export interface Summary {
  readonly files: number
  readonly lines: number
  readonly words: number
  /** The file with the longest line. */
  readonly longestLine: { readonly path: string; readonly length: number }
  /** The ten files with the most lines. */
  readonly top: readonly Measurement[]
}

/** The task function `measure`. */
export async function measure({ folder, path }: MeasureInput): Promise<Measurement> {
  const bytes = await readFile(join(folder, path))
  const text = bytes.toString('utf8')
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return {
    path,
    hash: createHash('sha256').update(bytes).digest('hex'),
    lines: lines.length,
    words: text.split(/\s+/).filter(Boolean).length,
    longestLine: lines.reduce((longest, line) => Math.max(longest, line.length), 0),
  }
}

/** The task function `summarize`. */
export async function summarize(measurements: readonly Measurement[]): Promise<Summary> {
  const sum = (key: 'lines' | 'words') => measurements.reduce((total, file) => total + file[key], 0)
  const widest = measurements.reduce((a, b) => (b.longestLine > a.longestLine ? b : a))
  return {
    files: measurements.length,
    lines: sum('lines'),
    words: sum('words'),
    longestLine: { path: widest.path, length: widest.longestLine },
    top: measurements.toSorted((a, b) => b.lines - a.lines || a.path.localeCompare(b.path)).slice(0, 10),
  }
}
