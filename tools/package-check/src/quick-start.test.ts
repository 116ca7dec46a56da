import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { forOldNode, readQuickStart } from './quick-start.ts'

it('takes the files that the text names, as they are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-readme-'))
  const readme = join(folder, 'README.md')
  try {
    writeFileSync(
      readme,
      '`a.mjs` does this:\n\n```js\nimport "x"\n\nrun()\n```\n\n```js\nelsewhere()\n```\n\n`b.mjs`:\n\n```js\nend()\n```\n',
    )
    expect(readQuickStart(readme)).toEqual([
      { name: 'a.mjs', code: 'import "x"\n\nrun()\n' },
      { name: 'b.mjs', code: 'end()\n' },
    ])
    writeFileSync(readme, '# Nothing to run')
    expect(() => readQuickStart(readme)).toThrow('has no quick start')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it('makes `await using` run on an old Node', () => {
  const { code } = forOldNode({ name: 'a.mjs', code: 'await using a = open()\n' })
  expect(code).not.toContain('await using')
  expect(code).toContain('open()')
})
