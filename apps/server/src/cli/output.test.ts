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
