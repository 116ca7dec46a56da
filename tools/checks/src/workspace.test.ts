import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createVitest } from 'vitest/node'
import { externalDependencies, readWorkspace, root } from './workspace.ts'

const workspace = readWorkspace()
const members = workspace.slice(1)

describe('dependencies', () => {
  it('are each explained by one line of docs/dependencies.md, and nothing else is', () => {
    const explained = [...readFileSync(join(root, 'docs/dependencies.md'), 'utf8').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name)
    const used = new Set(workspace.flatMap(externalDependencies).map(([name]) => name))
    expect(explained.toSorted()).toEqual([...used].sort())
  })

  it.each(workspace)('of $folder have exact versions', (one) => {
    const ranges = externalDependencies(one).filter(([, version]) => !/^(npm:.+@)?\d+[.]\d+[.]\d+[\w.-]*$/.test(version))
    expect(ranges).toEqual([])
  })
})

describe.each(members)('$folder', ({ manifest }) => {
  it('can be type-checked by itself', () => {
    expect(manifest.scripts?.typecheck).toBe('tsc -p .')
  })

  it('has the licence of the repository', () => {
    expect(manifest.license).toBe('Apache-2.0')
  })
})

it('runs every test file there is', async () => {
  const exclude = ['**/node_modules', '**/dist']
  const files = globSync('{packages,apps,tests,tools,examples}/**/*.test.ts', { cwd: root, exclude })
  const vitest = await createVitest('test', { root, watch: false })
  try {
    const specifications = await vitest.globTestSpecifications()
    expect(specifications.map(({ moduleId }) => relative(root, moduleId)).sort()).toEqual(files.sort())
  } finally {
    await vitest.close()
  }
})

it('releases all public packages together', () => {
  const config = JSON.parse(readFileSync(join(root, '.changeset/config.json'), 'utf8')) as { fixed: string[][] }
  const names = members.filter(({ manifest }) => !manifest.private).map(({ manifest }) => manifest.name)
  expect(config.fixed.map((group) => group.toSorted())).toEqual([names.toSorted()])
})
