import { createReadStream } from 'node:fs'

/** A line of a file, and where in the file it ends. */
export interface Line {
  readonly text: string
  readonly end: number
}

/** The lines of a file that are whole: a last one that was cut off is left out. Memory holds one line and one chunk. */
export async function* readLines(path: string): AsyncIterable<Line> {
  let parts: Buffer[] = []
  let end = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const last = chunk.subarray(from, at)
      const line = parts.length > 0 ? Buffer.concat([...parts, last]) : last
      parts = []
      from = at + 1
      end += line.length + 1
      yield { text: line.toString('utf8'), end }
    }
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
}
