import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import { UnavailableError } from '@millrace/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { clientOf, useServer } from '../harness/fixture.ts'
import { ServerDidNotStart, startServer } from '../harness/server.ts'
import { metadata, millrace } from '../raw/raw.ts'

const pathOf = (name: string) => fileURLToPath(new URL(`certificates/${name}`, import.meta.url))
const read = (name: string) => readFileSync(pathOf(name))
const ca = read('ca.pem')
const serverFlags = ['--tls-cert', pathOf('server.pem'), '--tls-key', pathOf('server.key')]
const hasty = { retry: false, circuitBreaker: false, timeout: '3s' } as const

describe('TLS', () => {
  const fixture = useServer({ flags: serverFlags })
  const secure = () => `https://${fixture.server.endpoint}`

  test('an https endpoint, with the authority that signed the server', async () => {
    const mr = fixture.client({ endpoint: secure(), tls: { ca } })
    const queue = mr.queue<number>('secure')
    await queue.enqueue(1)
    expect((await queue.reserve())?.payload).toBe(1)
    expect((await fixture.client({ endpoint: fixture.server.endpoint, tls: { ca } }).health()).healthy).toBe(true)
  })

  test('the name to expect may be given; another than the certificate’s is refused', async () => {
    const withName = (serverName: string) => fixture.client({ ...hasty, endpoint: secure(), tls: { ca, serverName } })
    expect((await withName('localhost').health()).healthy).toBe(true)
    await expect(withName('elsewhere.example').health()).rejects.toBeInstanceOf(UnavailableError)
  })

  test('an authority that did not sign it, the well-known ones, and no TLS at all', async () => {
    for (const options of [
      { endpoint: secure(), tls: { ca: read('other-ca.pem') } },
      { endpoint: secure() },
      { endpoint: fixture.server.endpoint },
    ]) {
      await expect(fixture.client({ ...hasty, ...options }).health()).rejects.toBeInstanceOf(UnavailableError)
    }
  })

  test('without the SDK', async () => {
    const queues = new millrace.QueueService(fixture.server.endpoint, grpc.credentials.createSsl(ca))
    onTestFinished(() => queues.close())
    const stats = await new Promise((resolve, reject) => {
      queues.GetQueueStats!({ queue: 'emails' }, metadata(fixture.server.key), (error: Error | null, answer: unknown) =>
        error ? reject(error) : resolve(answer),
      )
    })
    expect(stats).toMatchObject({ queue: 'emails' })
  })
})

describe('mutual TLS', () => {
  const fixture = useServer({ flags: [...serverFlags, '--tls-client-ca', pathOf('ca.pem')] })

  test('a client with a certificate is let in, one without is not', async () => {
    const endpoint = `https://${fixture.server.endpoint}`
    const mr = fixture.client({ endpoint, tls: { ca, cert: read('client.pem'), key: read('client.key') } })
    expect((await mr.health()).healthy).toBe(true)
    await expect(fixture.client({ ...hasty, endpoint, tls: { ca } }).health()).rejects.toBeInstanceOf(UnavailableError)
  })
})

test.each([
  ['a certificate without its key', ['--tls-cert', pathOf('server.pem')], /--tls-key/],
  ['a key of another certificate', ['--tls-cert', pathOf('server.pem'), '--tls-key', pathOf('client.key')], /--tls-key/],
  ['a file that is no certificate', ['--tls-cert', pathOf('README.md'), '--tls-key', pathOf('server.key')], /--tls-cert/],
  ['a file that is not there', ['--tls-cert', '/nowhere.pem', '--tls-key', pathOf('server.key')], /nowhere\.pem/],
] as const)('%s: the server says so and does not start', async (_what, flags, words) => {
  const refused: unknown = await startServer({ flags }).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(ServerDidNotStart)
  expect((refused as ServerDidNotStart).ended).toEqual({ code: 1, signal: null })
  expect((refused as ServerDidNotStart).output).toMatch(words)
  expect((refused as ServerDidNotStart).output).not.toMatch(/^\s+at /m)
})

test('a server without TLS refuses a client that wants it', async () => {
  await using server = await startServer()
  const mr = clientOf(server, { ...hasty, endpoint: `https://${server.endpoint}` })
  await expect(mr.health()).rejects.toBeInstanceOf(UnavailableError)
})
