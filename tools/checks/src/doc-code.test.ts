import { globSync } from 'node:fs'
import { expect, it } from 'vitest'
import { checkDocCode, readPages } from './doc-code.ts'
import { root } from './workspace.ts'

it('what pages and comments show compiles against the packages', { timeout: 120_000 }, () => {
  const markdown = globSync(['*.md', 'docs/*.md', '{packages,apps,examples,tests}/*/README.md'], { cwd: root })
  const sources = globSync('{packages,apps}/*/src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts', '**/gen/**'] })
  const pages = new Map([...readPages(root, [...markdown, ...sources])].filter(([, text]) => text.includes('```')))
  expect([...pages.keys()]).toEqual(expect.arrayContaining(['README.md', 'docs/tasks.md', 'packages/client/src/millrace.ts']))
  expect(checkDocCode(root, pages)).toEqual([])
})

it('says on which line of a page something is not there', { timeout: 120_000 }, () => {
  const page = [
    '# A page',
    '```ts',
    "const task = await mr.tasks.submit({ function: 'f', payload: yours, prioritty: 1 })",
    '```',
    'and',
    '```vue',
    '<script setup lang="ts">',
    "import { useTassk } from '@millrace/vue'",
    '</script>',
    '```',
    '```ts',
    'task.taskID // of the first block, which the one with an import has ended: anything',
    '```',
    '```ts',
    'mr.tasks.sumbit({})',
    '```',
  ]
  expect(checkDocCode(root, new Map([['page.md', page.join('\n')]]))).toEqual([
    expect.stringMatching(/^page\.md:3: .*'prioritty' does not exist/),
    expect.stringMatching(/^page\.md:8: .*no exported member.*'useTassk'/),
    expect.stringMatching(/^page\.md:15: .*'sumbit' does not exist/),
  ])
})
