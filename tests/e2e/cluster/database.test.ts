import { startPostgres } from '@millrace/dev'
import { expect, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { freePort } from '../harness/free-port.ts'
import { ServerDidNotStart, type ServerProcess, startServer } from '../harness/server.ts'
import { TcpProxy } from '../harness/tcp-proxy.ts'
import { until } from '../harness/until.ts'
import { loadOwn, rawClient } from '../raw/raw.ts'
import { needPostgres } from './nodes.ts'

needPostgres()

/** What gRPC's own health service says. */
async function serving({ endpoint }: ServerProcess): Promise<string> {
  using health = rawClient(loadOwn('health.proto', ['grpc', 'health', 'v1'], 'Health'), { endpoint })
  return (await health.call<{ status: string }>('Check')).status
}

test('a server whose database goes away stays up, says why it is not ready, and recovers by itself', async () => {
  await using postgres = await startPostgres({ fsync: false })
  using proxy = await TcpProxy.start(postgres.port)
  const url = Object.assign(new URL(postgres.url), { port: String(proxy.port) }).href
  await using server = await startServer({ flags: ['--store', url] })
  const mr = clientOf(server, { retry: false, circuitBreaker: false })
  const detail = () =>
    mr.health().then(
      (health) => health.detail ?? '',
      (error: Error) => error.message,
    )
  const queue = mr.queue('q')
  await queue.enqueue(1)
  expect(await serving(server)).toBe('SERVING')

  proxy.refuse()
  await expect.poll(detail).toMatch(/^Postgres at 127\.0\.0\.1:\d+\/postgres cannot be reached .*: check that it runs/)
  await expect.poll(() => serving(server), { timeout: 20_000 }).toBe('NOT_SERVING')
  await expect(queue.enqueue(2)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/cannot be reached/) })
  const ready = async () => {
    const answer = await fetch(`http://${server.http}/readyz`)
    return { status: answer.status, body: (await answer.json()) as object }
  }
  const detailed = { status: 'not ready', detail: expect.stringMatching(/^Postgres at .* cannot be reached .*: check that it runs/) }
  expect(await ready()).toEqual({ status: 503, body: detailed })
  proxy.heal()
  await expect.poll(detail, { timeout: 20_000 }).toBe('')
  expect(await ready()).toEqual({ status: 200, body: { status: 'ready' } })
  await queue.enqueue(2)

  // Nobody says that the way is broken: the answers stay away.
  proxy.silence()
  await expect.poll(() => serving(server), { timeout: 10_000 }).toBe('NOT_SERVING')
  proxy.heal()
  await expect.poll(detail, { timeout: 10_000 }).toBe('')
  await queue.enqueue(3)
  expect((await queue.stats()).total).toBe(3)
})

test('a server that is started before its database waits for it, and can be stopped while it waits', async () => {
  await using postgres = await startPostgres({ fsync: false })
  using proxy = await TcpProxy.start(postgres.port)
  proxy.refuse()
  const url = Object.assign(new URL(postgres.url), { port: String(proxy.port) }).href
  const flags = ['--store', url]
  const started = startServer({ flags })
  // What it asks for at once, in vain, is still one try.
  await until('it has tried twice', () => proxy.asked > 4)
  proxy.heal()
  await using server = await started
  expect(server.log).toMatch(/Postgres at 127\.0\.0\.1:\d+\/postgres cannot be reached .* Trying again in \d+ ms\./)
  await clientOf(server).queue('q').enqueue(1)

  const port = await freePort()
  const stopped = startServer({
    flags: ['--store', `postgres://u@127.0.0.1:${port}/x`],
    via: ['timeout', '--preserve-status', '--signal=TERM', '6'],
  })
  await expect(stopped).rejects.toMatchObject({ ended: { code: 1 }, output: expect.stringMatching(/cannot be reached/) })
})

test('a server that nobody but a person can help does not wait', async () => {
  await using postgres = await startPostgres({ fsync: false, password: 'right' })
  const failed = startServer({ flags: ['--store', postgres.url.replace('right', 'wrong')] })
  await expect(failed).rejects.toThrow(ServerDidNotStart)
  await expect(failed).rejects.toMatchObject({ ended: { code: 1 }, output: expect.stringMatching(/error: Postgres refuses the password/) })
})
