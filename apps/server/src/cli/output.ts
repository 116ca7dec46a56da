import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { styleText } from 'node:util'

/** Styles of text. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Where a command writes: results to one stream, remarks and errors to the other. */
export class Output {
  readonly #out: Writable
  readonly #err: Writable

  /** @param streams - for results, and for remarks and errors. */
  constructor({ stdout, stderr }: { readonly stdout: Writable; readonly stderr: Writable }) {
    this.#out = stdout
    this.#err = stderr
  }

  /** Writes a line of the result. */
  line(text = ''): void {
    write(this.#out, `${text}\n`)
  }

  /** Writes bytes of the result as they are; resolves when they may be followed by more. */
  async bytes(chunk: Uint8Array): Promise<void> {
    if (!this.#out.write(chunk)) await once(this.#out, 'drain')
  }

  /** Writes a value as one line of JSON. */
  json(value: unknown): void {
    this.line(JSON.stringify(value))
  }

  /** Writes a remark. */
  remark(text: string): void {
    write(this.#err, `${text}\n`)
  }

  /** Shows how far something is, on one line that the next one takes the place of; on terminals alone. '' removes it. */
  progress(text: string): void {
    if (isTerminal(this.#err)) this.#err.write(`\r\x1b[2K${text}`)
  }

  /** Writes an error. */
  error(text: string): void {
    write(this.#err, `${styleText('red', 'error:', { stream: this.#err })} ${text}\n`)
  }

  /** Styles text of the result where the terminal shows it and NO_COLOR does not forbid it. */
  style(style: Style | undefined, text: string): string {
    return style ? styleText(style, text, { stream: this.#out }) : text
  }

  /** Writes rows under headings, aligned, each on a line of its own; numbers to the right. */
  table(headings: readonly string[], rows: readonly (readonly Cell[])[]): void {
    const texts = rows.map((row) => row.map((cell) => onOneLine(typeof cell === 'object' ? cell.text : String(cell ?? ''))))
    const right = headings.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'))
    const widths = headings.map((heading, column) => Math.max(heading.length, ...texts.map((row) => row[column]!.length)))
    const pad = (text: string, column: number) => {
      if (right[column]) return text.padStart(widths[column]!)
      return column === headings.length - 1 ? text : text.padEnd(widths[column]!)
    }
    this.line(this.style('dim', headings.map((heading, column) => pad(heading.toUpperCase(), column)).join('  ')))
    for (const [i, row] of rows.entries()) {
      const cells = row.map((cell, column) =>
        this.style(typeof cell === 'object' ? cell.style : undefined, pad(texts[i]![column]!, column)),
      )
      this.line(cells.join('  ').trimEnd())
    }
  }

  /** Writes names and values, aligned; leaves out what is undefined or ''. */
  fields(fields: Readonly<Record<string, Cell | undefined>>): void {
    const shown = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '')
    const width = Math.max(...shown.map(([name]) => name.length))
    for (const [name, cell] of shown) {
      const { text, style } = typeof cell === 'object' ? cell : { text: String(cell), style: undefined }
      this.line(`${this.style('dim', name.padEnd(width))}  ${this.style(style, text)}`)
    }
  }
}

function isTerminal(stream: Writable): boolean {
  return (stream as { isTTY?: boolean }).isTTY === true
}

/** Writes text. Much of it comes from strangers: a terminal is shown the control characters in it, and does not obey them. */
function write(stream: Writable, text: string): void {
  stream.write(isTerminal(stream) ? text.replace(/\p{Cc}(?:\[[\d;]*m)?/gu, (found) => (isHarmless(found) ? found : escaped(found))) : text)
}

/** True for ends of lines, tabs and styles. */
function isHarmless(found: string): boolean {
  return /^[\n\t]/.test(found) || (found.startsWith('\x1b') && found.length > 1)
}

function onOneLine(text: string): string {
  return text.replace(/[\n\r\t]/g, escaped)
}

/** Text that begins with a control character, with that as JSON may write it. */
function escaped(text: string): string {
  const [first = ''] = text
  const json = JSON.stringify(first).slice(1, -1)
  return (json === first ? `\\u${first.charCodeAt(0).toString(16).padStart(4, '0')}` : json) + text.slice(1)
}

/** A value in a table. */
export type Cell = string | number | { readonly text: string; readonly style?: Style }
