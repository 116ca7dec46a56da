import { readFileSync } from 'node:fs'
import { nginxVersion, startNginx, startPostgres } from '@millrace/dev'
import { expect, test } from 'vitest'
import { needPostgres } from '../cluster/nodes.ts'
import { clientOf, freshName, startWorker } from '../harness/fixture.ts'
import { freePort } from '../harness/free-port.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'

needPostgres()

const config = readFileSync(new URL('../../../deploy/nginx.conf', import.meta.url), 'utf8')

/** The configuration that we ship, with other addresses. */
function configOf(port: number, httpPort: number, servers: readonly ServerProcess[]): string {
  const adapted = servers.reduce(
    (text, { endpoint, http }, i) => text.replace(`server${i + 1}:50051`, endpoint).replace(`server${i + 1}:50080`, http),
    config,
  )
  return adapted.replace('listen 50051', `listen 127.0.0.1:${port}`).replace('listen 50080', `listen 127.0.0.1:${httpPort}`)
}

test('one endpoint before three servers: calls are spread, streams stay open, and a server may die', { timeout: 60_000 }, async ({
  skip,
}) => {
  try {
    nginxVersion()
  } catch (error) {
    skip((error as Error).message)
  }
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(await startPostgres())
  const servers: ServerProcess[] = []
  for (let i = 0; i < 3; i++) servers.push(stack.use(await startServer({ flags: ['--store', postgres.url, '--log-level', 'debug'] })))
  const port = await freePort()
  const httpPort = await freePort()
  stack.use(await startNginx(configOf(port, httpPort, servers)))
  const endpoint = `127.0.0.1:${port}`
  const namespace = freshName()
  const mr = clientOf(servers[0]!, { endpoint, namespace })
  const worker = mr.worker({ tasks: { double: async (n: number) => 2 * n, large: async (text: string) => text }, concurrency: 10 })
  await startWorker(worker)

  const doubled = async (count: number) => {
    const tasks = await Promise.all(Array.from({ length: count }, (_, payload) => mr.tasks.submit({ function: 'double', payload })))
    return (await mr.tasks.waitBatch(tasks.map(({ taskId }) => taskId))).map(({ result }) => result)
  }
  const expected = (count: number) => Array.from({ length: count }, (_, n) => 2 * n)
  for (let i = 0; i < 9; i++) await mr.cluster.health()
  expect(await doubled(200)).toEqual(expected(200))
  for (const { log } of servers) expect(log).toContain('GetHealth')
  // A payload that is far more than nginx takes by itself.
  const payload = 'x'.repeat(3_000_000)
  const { taskId } = await mr.tasks.submit({ function: 'large', payload })
  expect((await mr.tasks.wait(taskId)).result).toBe(payload)

  // Over HTTP too, and live events as they come.
  const web = `http://127.0.0.1:${httpPort}`
  const headers = { Authorization: `Bearer ${servers[0]!.key}`, 'Millrace-Namespace': namespace }
  const later = await mr.tasks.submit({ function: 'double', payload: 4, delay: '500ms' })
  const events = await fetch(`${web}/v1/tasks/${later.taskId}/events`, { headers })
  let seen = ''
  for await (const chunk of events.body!.pipeThrough(new TextDecoderStream())) {
    seen += chunk
    if (/completed/i.test(seen)) break
  }
  expect(seen).toMatch(/scheduled/i)
  expect((await fetch(`${web}/readyz`)).status).toBe(200)

  await servers[0]!.kill()
  expect(await doubled(200)).toEqual(expected(200))
  await servers[1]!.stop()
  expect(await doubled(200)).toEqual(expected(200))
  await servers[0]!.restart()
  await servers[2]!.kill()
  expect(await doubled(200)).toEqual(expected(200))
})
