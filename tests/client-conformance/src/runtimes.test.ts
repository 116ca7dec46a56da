import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { bundle } from './browser/bundle.ts'
import { cases } from './cases/all.ts'
import { useServer } from './harness.ts'

const server = useServer()

/** Other runtimes that the client for browsers runs on, where they are installed. */
const runtimes: readonly (readonly [command: string, ...flags: string[]])[] = [
  ['node20'],
  ['bun'],
  ['deno', 'run', '--allow-net', '--allow-env'],
]

test.for(runtimes)('every case, over HTTP, in %s', { timeout: 120_000 }, async ([command, ...flags], { skip }) => {
  if (spawnSync(command, ['--version']).status !== 0) skip(`${command} is not installed`)
  const folder = await mkdtemp(join(tmpdir(), 'millrace-runtime-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const script = join(folder, 'suite.mjs')
  await writeFile(script, await bundle('script.ts', 'es'))
  for (const one of cases) {
    const outcome = await server.inNamespace(`${command} ${one.name}`, server.http, async (setup) => {
      const child = spawn(command, [...flags, script, JSON.stringify({ name: one.name, setup })], { stdio: ['ignore', 'pipe', 'inherit'] })
      let output = ''
      for await (const chunk of child.stdout) output += String(chunk)
      return JSON.parse(output) as unknown
    })
    expect([one.name, outcome]).toEqual([one.name, one.expected])
  }
})
