import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

// As users run it: with the built packages, so `pnpm build` comes first.
it('bills every order once and sends every receipt', async () => {
  const env = { ...process.env, PATH: `${join(import.meta.dirname, '../node_modules/.bin')}${delimiter}${process.env.PATH}` }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  // 100 orders each: of ada 100, 103, … cents; of grace 101, 104, …; of alan 102, 105, …
  expect(output).toBe('ada        248.50\ngrace      249.50\nalan       250.50\n300 orders billed, 300 receipts sent\n')
})
