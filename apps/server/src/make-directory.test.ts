import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeDirectory } from './make-directory.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-directory-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('a directory and those above it, with their permissions; the first that was made is said', async () => {
  const path = join(root, 'a', 'b', 'c')
  expect(await makeDirectory(path, 0o700)).toBe(join(root, 'a'))
  expect(statSync(join(root, 'a')).mode & 0o777).toBe(0o700)
  expect(await makeDirectory(path)).toBeUndefined()
  expect(await makeDirectory(join(path, 'd'))).toBe(join(path, 'd'))
})

test('many at once', async () => {
  const path = join(root, 'many', 'at', 'once')
  const made = await Promise.all(Array.from({ length: 20 }, () => makeDirectory(path)))
  expect(made).toContain(join(root, 'many'))
  expect(statSync(path).isDirectory()).toBe(true)
})

test('where none can be, the reason is thrown', async (ctx) => {
  writeFileSync(join(root, 'file'), '')
  symlinkSync(join(root, 'nowhere'), join(root, 'link'))
  await expect(makeDirectory(join(root, 'file'))).rejects.toMatchObject({ code: 'EEXIST' })
  await expect(makeDirectory(join(root, 'file', 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  await expect(makeDirectory(join(root, 'link', 'a'))).rejects.toMatchObject({ code: 'ENOENT' })
  ctx.skip(!existsSync('/proc/self'), 'there is no /proc')
  await expect(makeDirectory('/proc/millrace/data')).rejects.toMatchObject({ code: 'ENOENT', path: '/proc/millrace' })
})
