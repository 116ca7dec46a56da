import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { JobServer, wireJob } from '../testing/job-server.ts'
import { drainOnSignals } from './shutdown-signals.ts'

const script = fileURLToPath(new URL('../testing/signalled-worker.ts', import.meta.url))

/** A worker in a process of its own that has begun a job. */
async function startProcess(...args: string[]) {
  const server = await new JobServer().start()
  const child = spawn(process.execPath, ['--conditions=millrace-source', script, server.endpoint, ...args], { stdio: 'inherit' })
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await server.kill()
  })
  const session = await server.sessions.next()
  session.deliver(wireJob('job_1'))
  // The second is answered when the first has begun: they run side by side.
  session.deliver(wireJob('job_2', { payload: new Uint8Array([1]) }))
  await session.settlements.find((settlement) => settlement.jobId === 'job_2')
  return { child, exited, session }
}

test('SIGTERM lets handlers finish, then ends the process as the signal would', async () => {
  const { child, exited, session } = await startProcess()
  child.kill('SIGTERM')
  expect(await exited).toBe('SIGTERM')
  expect(session.settled('complete')).toEqual(['job_1'])
  expect(session.subscriptions.all.at(-1)?.maxInFlight).toBe(0)
})

test('a second signal does not wait for handlers', async () => {
  const { child, exited, session } = await startProcess('for ever')
  child.kill('SIGINT')
  await session.subscriptions.find((subscription) => subscription.maxInFlight === 0)
  const again = setInterval(() => child.kill('SIGINT'), 50)
  expect(await exited).toBe('SIGINT')
  clearInterval(again)
  expect(session.settled('release')).toEqual(['job_1'])
})

test('a signal that two pass on is one: handlers finish', async () => {
  const { child, exited, session } = await startProcess()
  child.kill('SIGTERM')
  child.kill('SIGINT')
  expect(['SIGTERM', 'SIGINT']).toContain(await exited)
  expect(session.settled('complete')).toEqual(['job_1'])
})

test('many workers share one listener, which goes with the last of them', () => {
  const before = process.listenerCount('SIGTERM')
  const forget = Array.from({ length: 50 }, () => drainOnSignals(async () => undefined))
  expect(process.listenerCount('SIGTERM')).toBe(before + 1)
  for (const fn of forget) fn()
  expect(process.listenerCount('SIGTERM')).toBe(before)
})
