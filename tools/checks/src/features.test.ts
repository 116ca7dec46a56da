import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from './workspace.ts'

const rows = readFileSync(join(root, 'docs/features.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))

it('docs/features.md tells of each feature once', () => {
  const features = rows.map((row) => row.split(' | ')[0]!)
  expect(features.filter((feature, index) => features.indexOf(feature) !== index)).toEqual([])
})

it('docs/features.md names tests that there are', () => {
  // A link to a file, and perhaps the beginning of a test's name in quotes after it.
  const named = rows.flatMap((row) => [...row.matchAll(/\]\(\.\.\/([^)]+)\)(?: "([^"]+)")?/g)])
  const missing = named.filter(([, path, test]) => {
    const file = join(root, path!)
    if (!existsSync(file)) return true
    return test !== undefined && !(statSync(file).isFile() && readFileSync(file, 'utf8').includes(test.replace(/…$/, '')))
  })
  expect(missing.map(([link]) => link)).toEqual([])
})
