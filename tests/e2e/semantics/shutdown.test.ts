import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { UnavailableError } from '@millrace/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { clientOf, freshName, startWorker, useServer } from '../harness/fixture.ts'
import { ended, start } from '../harness/processes.ts'
import { ownEnvironment, type ServerProcess, startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

/** A worker process as a user would write it; see the file. It says `started N` when a handler begins, and `end` last. */
async function enterWorker(server: ServerProcess, settings: { namespace: string; workMs: number; drain?: string }) {
  const file = fileURLToPath(new URL('./draining-worker.ts', import.meta.url))
  const child = start(
    [process.execPath, '--conditions=millrace-source', '--disable-warning=ExperimentalWarning', file, JSON.stringify(settings)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...ownEnvironment(),
        MILLRACE_ENDPOINT: server.endpoint,
        MILLRACE_API_KEY: server.key,
        MILLRACE_NAMESPACE: settings.namespace,
      },
    },
  )
  let said = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await until('the worker is connected', () => said.includes('connected'))
  return { child, said: () => said.trim().split('\n') }
}

describe('a worker told to end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: finishes what it has begun, takes nothing new, and ends as the signal wants',
    async (signal) => {
      const namespace = freshName()
      const queue = fixture.client({ namespace }).queue<number>('drain')
      const worker = await enterWorker(fixture.server, { namespace, workMs: 600 })
      await queue.enqueueBatch(Array.from({ length: 6 }, (_, payload) => ({ payload })))
      await until('two handlers work', () => worker.said().filter((line) => line.startsWith('started')).length === 2)
      worker.child.kill(signal)
      expect(await ended(worker.child)).toEqual({ code: null, signal })
      expect(worker.said().filter((line) => line.startsWith('started'))).toHaveLength(2)
      expect(await queue.stats()).toMatchObject({ completed: 2, processing: 0, pending: 4 })
      for (const job of await queue.receive({ max: 10 })) expect(job.attempt).toBe(1)
    },
  )

  test('what does not end in time is given up: its signal fires, and the job goes to another', async () => {
    const namespace = freshName()
    const mr = fixture.client({ namespace })
    const queue = mr.queue<number>('drain')
    await queue.setRetryPolicy({ maxAttempts: 5, initialBackoff: 0, strategy: 'fixed' })
    const worker = await enterWorker(fixture.server, { namespace, workMs: 60_000, drain: '300ms' })
    const { jobId } = await queue.enqueue(1)
    await until('the handler works', () => worker.said().some((line) => line.startsWith('started')))
    const before = Date.now()
    worker.child.kill('SIGTERM')
    expect((await ended(worker.child)).code).toBe(0)
    expect(Date.now() - before).toBeLessThan(20_000)
    expect(worker.said()).toContain('aborted')
    await startWorker(mr.worker({ queue: 'drain', handler: async () => 'by another' }))
    await until('another does it', async () => (await queue.get(jobId)).status === 'completed')
    expect((await queue.get(jobId)).result).toBe('by another')
  })
})

describe('a server told to end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s: answers what it has begun, tells waiters, and ends well', async (signal) => {
    await using server = await startServer()
    const namespace = freshName()
    const mr = clientOf(server, { namespace, retry: false, circuitBreaker: false })
    const queue = mr.queue<number>('drain')
    await mr.health()
    const waiting = mr.queue('empty').receive({ wait: '30s' })
    const outcome = waiting.then(
      (jobs) => jobs,
      (error: unknown) => error,
    )
    const writes = Promise.allSettled(Array.from({ length: 500 }, (_, n) => queue.enqueue(n)))
    const before = Date.now()
    server.child.kill(signal)
    const [how] = await once(server.child, 'exit')
    expect(how).toBe(0)
    expect(Date.now() - before).toBeLessThan(10_000)
    const acknowledged = (await writes).flatMap((write) => (write.status === 'fulfilled' ? [write.value.jobId] : []))
    const answer = await outcome
    if (answer instanceof Error) expect(answer).toBeInstanceOf(UnavailableError)
    else expect(answer).toEqual([])

    await server.restart()
    const after = clientOf(server, { namespace })
    for (const id of acknowledged) expect((await after.queue('drain').get(id)).status).toBe('pending')
  })

  test('a signal that two pass on, such as a terminal and npm, is one; a later one ends it at once', async () => {
    await using server = await startServer({ flags: ['--shutdown-grace', '30s'] })
    server.child.kill('SIGINT')
    server.child.kill('SIGTERM')
    expect(await ended(server.child)).toEqual({ code: 0, signal: null })

    await server.restart()
    const [host, port] = server.http.split(':')
    const half = connect(Number(port), host)
    onTestFinished(() => void half.destroy())
    half.on('error', () => undefined)
    half.write(`POST /v1/queues/q/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.key}\r\nContent-Length: 100\r\n\r\n{`)
    await once(half, 'connect')
    await clientOf(server).health()
    const again = setInterval(() => server.child.kill('SIGTERM'), 50)
    expect(await ended(server.child)).toEqual({ code: 1, signal: null })
    clearInterval(again)
  })

  test('a worker of a server that ends and comes back goes on by itself', async () => {
    await using server = await startServer()
    const mr = clientOf(server, { retry: { maxRetries: 100, initialDelay: 50, maxDelay: 200 }, circuitBreaker: false })
    const queue = mr.queue<number>('back')
    const done: number[] = []
    const worker = mr.worker<number>({ queue: 'back', handler: async (job) => done.push(job.payload) })
    let disconnected = 0
    worker.on('disconnected', () => disconnected++)
    await startWorker(worker)
    await queue.enqueue(1)
    await until('the first is done', () => done.length === 1)
    expect((await server.stop()).code).toBe(0)
    await until('the worker has noticed', () => disconnected > 0)
    await server.restart()
    await queue.enqueue(2)
    await until('the second is done', () => done.length === 2)
    expect(done).toEqual([1, 2])
  })
})
