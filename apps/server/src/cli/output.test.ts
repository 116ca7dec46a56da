import { Writable } from 'node:stream'
import { WriteStream } from 'node:tty'
import { stripVTControlCharacters } from 'node:util'
import { expect, it, onTestFinished, vi } from 'vitest'
import { Output } from './output.ts'

/** What a terminal, or a pipe, gets to see. */
function written(isTTY: boolean, write: (output: Output) => void): string {
  let text = ''
  const stream = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        text += chunk
        done()
      },
    }),
    { isTTY, getColorDepth: () => WriteStream.prototype.getColorDepth.call(stream) },
  )
  write(new Output({ stdout: stream, stderr: stream }))
  return text
}

const table = (output: Output) =>
  output.table(
    ['name', 'count', 'note'],
    [
      ['a', 5, { text: 'good', style: 'green' }],
      ['longer', 1000, ''],
    ],
  )

it('aligns tables, numbers to the right', () => {
  expect(written(false, table)).toBe('NAME    COUNT  NOTE\na           5  good\nlonger   1000\n')
})

it('colours on a terminal, unless NO_COLOR forbids it', () => {
  vi.stubEnv('TERM', 'xterm-256color')
  vi.stubEnv('NO_COLOR', undefined)
  vi.stubEnv('FORCE_COLOR', undefined)
  vi.stubEnv('CI', undefined)
  onTestFinished(() => void vi.unstubAllEnvs())
  const coloured = written(true, table)
  expect(coloured).toContain('\u001b[32mgood')
  expect(stripVTControlCharacters(coloured)).toBe(written(false, table))
  vi.stubEnv('NO_COLOR', '1')
  expect(written(true, table)).toBe(written(false, table))
})

it('shows a terminal the control characters of strangers, and leaves a pipe what there is', () => {
  const text = 'a\tb\n\u001b[31mred\u001b[0m \u001b[2J\u001b]0;title\u0007 \u009b1A \r\u0008 \n[1m'
  const line = (output: Output) => output.line(text)
  expect(written(false, line)).toBe(`${text}\n`)
  const shown = 'a\tb\n\u001b[31mred\u001b[0m \\u001b[2J\\u001b]0;title\\u0007 \\u009b1A \\r\\b \n[1m'
  expect(written(true, line)).toBe(`${shown}\n`)
  expect(written(true, (output) => output.remark(text))).toBe(`${shown}\n`)
  expect(written(true, (output) => output.error('\u001b[2J'))).toContain('\\u001b[2J\n')
  expect(written(true, (output) => output.fields({ name: '\u001b[2J' }))).toContain('\\u001b[2J\n')
  // A row is a line.
  expect(written(false, (output) => output.table(['a', 'b'], [['1\n2', 'x']]))).toBe('A     B\n1\\n2  x\n')
})
