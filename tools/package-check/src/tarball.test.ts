import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { exec } from './exec.ts'
import type { Manifest } from './packages.ts'
import { checkTarball } from './tarball.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-tarball-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const manifest: Manifest = {
  name: '@millrace/x',
  version: '1.0.0',
  description: 'A package.',
  license: 'Apache-2.0',
  repository: {},
  keywords: ['x'],
  engines: {},
  exports: {},
  files: ['dist'],
}
const files = { LICENSE: 'text', 'README.md': 'text', 'package.json': '{}', 'dist/index.js': 'export {}\n' }

/** The problems of a tarball with these files. */
async function problems(contents: Record<string, string>, changes: Partial<Manifest> = {}): Promise<string[]> {
  for (const [path, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder, 'package', path)), { recursive: true })
    writeFileSync(join(folder, 'package', path), text)
  }
  await exec('tar', ['-czf', 'x.tgz', 'package'], { cwd: folder })
  const packed = {
    name: manifest.name,
    tarball: join(folder, 'x.tgz'),
    manifest: { ...manifest, ...changes },
    files: Object.keys(contents),
  }
  return checkTarball(packed, folder).then(
    () => [],
    (error: Error) => error.message.split('\n'),
  )
}

it('accepts a sound tarball, with a source map that holds its sources', async () => {
  const map = JSON.stringify({ sources: ['../src/index.ts'], sourcesContent: ['export {}'] })
  const code = 'export {}\n//# sourceMappingURL=index.js.map\n'
  expect(await problems({ ...files, 'dist/index.js': code, 'dist/index.js.map': map })).toEqual([])
})

it('names all that is missing or too much', async () => {
  const { LICENSE: _, ...unlicensed } = files
  const found = await problems(
    { ...unlicensed, 'dist/index.test.js': '' },
    { keywords: undefined, dependencies: { '@millrace/y': 'workspace:^' } },
  )
  expect(found).toEqual([
    "package.json has no 'keywords'.",
    'There is no LICENSE.',
    'dist/index.test.js is of no use to users.',
    "The dependency @millrace/y is 'workspace:^', which only works in this repository.",
  ])
})

it('finds source maps that point nowhere', async () => {
  const lost = await problems({ ...files, 'dist/index.js': '//# sourceMappingURL=index.js.map\n' })
  expect(lost).toEqual(['dist/index.js points to index.js.map, which is not there.'])
  const hollow = await problems({ ...files, 'dist/index.js.map': JSON.stringify({ sources: ['../src/index.ts'] }) })
  expect(hollow).toEqual(['dist/index.js.map points to ../src/index.ts, which is not there.'])
})
