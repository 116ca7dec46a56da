import { setTimeout as sleep } from 'node:timers/promises'
import type { JobContext } from '@millrace/client'
import type { Picture, Place } from './fractal.ts'

const columns = 192
const rowCount = 120
const deepest = 700

/** The task `paint`: a picture row by row, slowly enough to watch. */
export async function paintPlace(payload: unknown, ctx: JobContext): Promise<Picture> {
  const { name, x, y, width } = payload as Place
  const rows: string[] = []
  const step = width / columns
  for (let row = 0; row < rowCount; row++) {
    rows.push(paintRow(x - width / 2, y + (row - rowCount / 2) * step, step))
    ctx.progress(((row + 1) / rowCount) * 100, `row ${row + 1} of ${rowCount}`)
    await sleep(25, undefined, { signal: ctx.signal })
  }
  return { name, columns, rows }
}

function paintRow(left: number, y: number, step: number): string {
  let row = ''
  for (let column = 0; column < columns; column++) row += shade(left + column * step, y)
  return row
}

/** How fast the point escapes, as one character. */
function shade(a: number, b: number): string {
  let x = 0
  let y = 0
  for (let depth = 0; depth < deepest; depth++) {
    const next = x * x - y * y + a
    y = 2 * x * y + b
    x = next
    if (x * x + y * y > 64) {
      const smooth = depth + 1 - Math.log2(Math.log2(x * x + y * y) / 2)
      return Math.min(35, 1 + Math.floor((Math.sqrt(Math.max(smooth, 0)) * 3.1) % 35)).toString(36)
    }
  }
  return '0'
}
