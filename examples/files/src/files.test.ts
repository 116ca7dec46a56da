import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

// As users run it: with the built packages, so `pnpm build` comes first.
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-example-'))
  await writeFile(join(folder, 'short.md'), '# Title\n\nThree words here\n')
  await writeFile(join(folder, 'long.ts'), `const a = '${'x'.repeat(88)}'\r\nconst b = 2\r\nconst c = 3\r\nconst d = 4\r\n`)
  await writeFile(join(folder, 'ignored.txt'), 'not measured')
})
afterAll(() => rm(folder, { recursive: true }))

function start(...args: string[]): ChildProcess {
  const bin = join(import.meta.dirname, '../node_modules/.bin')
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }
  return spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), folder, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function finish(child: ChildProcess): Promise<{ code: number; output: string; errors: string }> {
  const [output, errors, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'exit')])
  return { code, output, errors }
}

describe('the example', () => {
  it('measures every file and says what it found', async () => {
    const { code, output, errors } = await finish(start('--json'))
    expect({ code, errors }).toEqual({ code: 0, errors: 'Measuring 0/2\nMeasuring 1/2\nMeasuring 2/2\n' })
    expect(JSON.parse(output)).toEqual({
      files: 2,
      lines: 7,
      words: 21,
      longestLine: { path: 'long.ts', length: 100 },
      top: [
        expect.objectContaining({ path: 'long.ts', lines: 4, words: 16, longestLine: 100 }),
        {
          path: 'short.md',
          lines: 3,
          words: 5,
          longestLine: 16,
          hash: '5fc14eb104797e443f1c102596839ba3b1162722fa5e955e8e812f8940877477',
        },
      ],
      durationMs: expect.any(Number),
    })
  })

  it('prints a table', async () => {
    const { code, output } = await finish(start())
    expect(code).toBe(0)
    expect(output).toMatch(/^file +lines +words +longest line +sha-256$/m)
    expect(output).toMatch(/^long[.]ts +4 +16 +100 +[0-9a-f]{12}$/m)
    expect(output).toMatch(/^3 tasks in [\d.]+ s: \d+ tasks\/s[.]$/m)
  })

  it('stays up with --keep until it is asked to stop', async () => {
    const child = start('--keep')
    const finished = finish(child)
    const hints = new Promise<string>((resolve) => {
      let errors = ''
      child.stderr!.on('data', (chunk) => {
        errors += chunk
        if (errors.includes('millrace -- queues stats')) resolve(errors)
      })
    })
    expect(await hints).toMatch(/MILLRACE_ENDPOINT=127[.]0[.]0[.]1:\d+ MILLRACE_API_KEY=\S+/)
    child.kill('SIGINT')
    expect((await finished).code).toBe(0)
  })
})
