import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { root } from './workspace.ts'

// tools/run.mjs in a small repository whose tools are shell scripts.
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-run-'))
  write('package.json', '{ "packageManager": "pnpm@1.2.3" }')
  write('pnpm-lock.yaml', 'lock')
  write('node_modules/.pnpm/lock.yaml', 'lock')
  mkdirSync(join(folder, 'node_modules/.bin'))
  symlinkSync(process.execPath, join(folder, 'node_modules/.bin/node'))
  mkdirSync(join(folder, 'tools'))
  copyFileSync(join(root, 'tools/run.mjs'), join(folder, 'tools/run.mjs'))
  tool('turbo', 'exit 0')
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(path: string, content: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), content)
}

function tool(name: string, script: string): void {
  write(`node_modules/.bin/${name}`, `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, 'node_modules/.bin', name), 0o755)
}

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [join(folder, 'tools/run.mjs'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

async function run(...args: string[]): Promise<{ code: number; output: string; errors: string }> {
  const child = start(...args)
  const [output, errors, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'exit')])
  return { code, output, errors }
}

describe('install', () => {
  it('runs the pinned pnpm when the lockfile is not what is installed', async () => {
    write('pnpm-lock.yaml', 'another lock')
    tool('npx', 'echo "npx $@" >&2; exit 1')
    const { code, errors } = await run('test')
    expect(code).toBe(1)
    expect(errors).toContain('npx --yes pnpm@1.2.3 install --frozen-lockfile\n')
    expect(errors).toContain("Installing dependencies failed: 'npx --yes pnpm@1.2.3 install --frozen-lockfile' ended with code 1.")
  })

  it('says so when there is no network', async () => {
    write('pnpm-lock.yaml', 'another lock')
    tool('npx', 'echo "npm error code ENOTFOUND" >&2; exit 1')
    expect((await run('test')).errors).toContain('the npm registry cannot be reached')
  })
})

describe('build', () => {
  it('is silent when it succeeds, and shows its log when it fails', async () => {
    tool('turbo', 'echo "the log"; exit 3')
    const { code, errors } = await run('test')
    expect(code).toBe(1)
    expect(errors).toMatch(/^Building …\nthe log\nBuilding failed: 'turbo run build[^']*' ended with code 3/)
    tool('turbo', 'echo "the log"')
    expect((await run('test')).errors).not.toContain('the log')
  })
})

describe('test', () => {
  const counts = (value: object) => tool('vitest', `echo '${JSON.stringify(value)}' > "$TEST_COUNTS_FILE"`)

  it('ends with the counts, and each skip with its reason', async () => {
    counts({ passed: 2, failed: 0, skipped: [{ name: 'a test', reason: 'no disk to fill' }] })
    const { code, output } = await run('test')
    expect(output).toBe('skipped: a test: no disk to fill\n2 passed, 0 failed, 1 skipped\n')
    expect(code).toBe(0)
  })

  it.each([
    ['a test failed', { passed: 2, failed: 1, skipped: [] }, '2 passed, 1 failed, 0 skipped\n'],
    ['nothing ran', { passed: 0, failed: 0, skipped: [] }, '0 passed, 0 failed, 0 skipped\n'],
    ['a skip has no reason', { passed: 2, failed: 0, skipped: [{ name: 'a test' }] }, '2 passed, 1 failed, 0 skipped\n'],
  ])('fails when %s', async (_, value, line) => {
    counts(value)
    const { code, output } = await run('test')
    expect(output.endsWith(line)).toBe(true)
    expect(code).toBe(1)
  })

  it('fails when vitest fails, whatever it counted', async () => {
    tool('vitest', 'exit 7')
    expect(await run('test')).toMatchObject({ code: 1, errors: expect.stringContaining('vitest ended with code 7') })
  })
})

describe('start', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends everything that was started', async (signal, exitCode) => {
    const forever = 'setInterval(() => {}, 1000)'
    const grandchild = `spawn(process.execPath, ['-e', 'console.log("up"); ${forever}'], { stdio: 'inherit' })`
    write('examples/files/src/main.ts', `const { spawn } = require('node:child_process')\n${grandchild}\n${forever}`)
    const child = start('start')
    await once(createInterface(child.stdout!), 'line')
    child.kill(signal)
    // The output closes when the last process that could write to it is gone.
    expect((await once(child, 'close'))[0]).toBe(exitCode)
  })
})
