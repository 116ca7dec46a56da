import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { postgresVersion, startPostgres } from './postgres.ts'
import { skipWhereMissing } from './test-skip.ts'

skipWhereMissing(postgresVersion)

const run = promisify(execFile)
const ask = async (url: string, sql: string) => (await run('psql', [url, '-XtAc', sql])).stdout.trim()

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

it('keeps its data over a crash and a restart, and leaves nothing behind', async () => {
  const postgres = await startPostgres({ fsync: false, settings: { work_mem: '5MB' } })
  expect(await ask(postgres.url, 'SHOW work_mem')).toBe('5MB')
  await ask(postgres.url, 'CREATE TABLE t AS SELECT 42 AS answer')
  for (const how of ['fast', 'immediate'] as const) {
    await postgres.halt(how)
    await expect(ask(postgres.url, 'SELECT 1')).rejects.toThrow()
    await postgres.start()
    expect(await ask(postgres.url, 'SELECT answer FROM t')).toBe('42')
  }
  await postgres.stop()
  await postgres.stop()
  expect(alive(postgres.pid())).toBe(false)
  expect(existsSync(postgres.dir)).toBe(false)
}, 30_000)

it('asks for the password it was given', async () => {
  await using postgres = await startPostgres({ fsync: false, password: 'it is ä "secret"' })
  expect(await ask(postgres.url, 'SELECT 1')).toBe('1')
  await expect(ask(postgres.url.replace('secret', 'guess'), 'SELECT 1')).rejects.toThrow('password authentication failed')
}, 30_000)

it('ends with a parent that is killed', async () => {
  const program = `
    import { startPostgres } from ${JSON.stringify(new URL('./postgres.ts', import.meta.url).href)}
    const postgres = await startPostgres({ fsync: false })
    console.log(JSON.stringify({ pid: postgres.pid(), dir: postgres.dir }))
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string]
  const { pid, dir } = JSON.parse(line) as { pid: number; dir: string }
  expect(alive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await expect.poll(() => alive(pid) || existsSync(dir), { timeout: 10_000, interval: 50 }).toBe(false)
}, 30_000)
