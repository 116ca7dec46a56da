import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebhookDeliveryState } from '@millrace/protocol'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startServer } from '../src/serve.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { connectTo, failureOf, newTask, startTestServer } from './harness.ts'

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Receives webhooks; answers with `status()`. */
async function receiver(status: () => number = () => 200) {
  const received: Received[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      received.push({ headers: request.headers, body })
      response.writeHead(status()).end('thanks')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` }
}

/** Lets what was set off finish, without time passing. */
async function until(clock: ManualClock, done: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (await done()) return
    await clock.advance(0)
  }
  throw new Error('it never came')
}

const settings = { webhookAllowPrivate: true }
const start = async () => {
  const clock = new ManualClock(Date.now())
  return { clock, ...(await startTestServer(settings, clock)) }
}
type Started = Awaited<ReturnType<typeof start>>

const deliveries = async ({ admin }: Pick<Started, 'admin'>, name = 'hook') =>
  (await admin.webhooks.listWebhookDeliveries({ name, limit: 0, cursor: '' })).deliveries
const stateOf = async (started: Pick<Started, 'admin'>) => (await deliveries(started))[0]?.state
const plain = { name: 'hook', events: [], functions: [], queues: [] }

async function cancelTask({ admin }: Pick<Started, 'admin'>, name = 'work'): Promise<string> {
  const { taskId } = await admin.tasks.submitTask({ task: newTask({ function: name }), requestId: '' })
  await admin.tasks.cancelTask({ taskId, reason: '' })
  return taskId
}

describe('webhooks', () => {
  it('tell of what ended, signed so that Standard Webhooks verifies it', async () => {
    const started = await start()
    const { admin, clock } = started
    const { received, url } = await receiver()
    const { secret, webhook } = await admin.webhooks.createWebhook({ ...plain, url, functions: ['work'] })
    expect(webhook).toMatchObject({ url, functions: ['work'], enabled: true, disabledReason: '' })
    await cancelTask(started, 'other')
    const taskId = await cancelTask(started)
    await clock.advance(50)
    await until(clock, async () => (await stateOf(started)) === WebhookDeliveryState.DELIVERED)
    const [delivery, ...others] = await deliveries(started)
    expect(others).toEqual([])
    expect(delivery).toMatchObject({ type: 'task.cancelled', attempts: 1, responseCode: 200, responseBody: 'thanks', error: '' })
    const [{ headers, body }] = received as [Received]
    expect(headers['webhook-id']).toBe(delivery!.deliveryId)
    const verified = new Webhook(secret).verify(body, headers as Record<string, string>)
    expect(verified).toMatchObject({
      type: 'task.cancelled',
      timestamp: new Date(delivery!.timestamp!).toISOString(),
      data: { id: taskId, function: 'work', queue: 'default', namespace: 'default', attempts: 0, labels: {} },
    })
    expect(() => new Webhook(secret).verify(`${body} `, headers as Record<string, string>)).toThrow()
    expect(() => new Webhook('whsec_AAAA').verify(body, headers as Record<string, string>)).toThrow()
  })

  it('are repeated on their schedule with the same id, then given up, and delivered again when asked', async () => {
    let status = 500
    const started = await start()
    const { admin, clock } = started
    const { received, url } = await receiver(() => status)
    await admin.webhooks.createWebhook({ ...plain, url })
    const { deliveryId } = await admin.webhooks.testWebhook({ name: 'hook' })
    const minute = 60_000
    const waits = [50, 5000, 5 * minute, 30 * minute, 120 * minute, 300 * minute, 600 * minute, 840 * minute, 1200 * minute, 1440 * minute]
    for (const [attempt, wait] of waits.entries()) {
      await clock.advance(wait)
      await until(clock, async () => {
        const [delivery] = await deliveries(started)
        return delivery?.state === WebhookDeliveryState.FAILED || delivery?.nextAttemptAt?.getTime() === clock.now() + waits[attempt + 1]!
      })
    }
    expect(received.length).toBe(10)
    expect(new Set(received.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([deliveryId]))
    expect(new Set(received.map(({ body }) => body)).size).toBe(1)
    expect((await deliveries(started))[0]).toMatchObject({ attempts: 10, responseCode: 500, error: 'The receiver answered 500' })
    const { webhook } = await admin.webhooks.getWebhook({ name: 'hook' })
    expect(webhook!.enabled).toBe(true)
    expect(webhook!.failingSince).toBeDefined()

    status = 200
    await admin.webhooks.redeliverWebhook({ name: 'hook', deliveryId })
    await clock.advance(50)
    await until(clock, async () => (await stateOf(started)) === WebhookDeliveryState.DELIVERED)
    await until(clock, async () => (await admin.webhooks.getWebhook({ name: 'hook' })).webhook!.failingSince === undefined)
  })

  it('are sent after a crash between the event and its delivery', async () => {
    const { admin, clock, server, data } = await start()
    const { received, url } = await receiver()
    await admin.webhooks.createWebhook({ ...plain, url })
    // Time stands still, so nothing is sent before the end.
    const taskId = await cancelTask({ admin })
    await server.stop()
    expect(received).toEqual([])
    const next = await startServer({ data, grpc: '127.0.0.1:0', logLevel: 'silent', ...settings }, { clock })
    onTestFinished(() => next.stop())
    await clock.advance(50)
    await until(clock, () => received.length === 1)
    expect(JSON.parse(received[0]!.body)).toMatchObject({ data: { id: taskId } })
  })

  it('are signed with the old secret beside the new one for a day', async () => {
    const started = await start()
    const { admin, clock } = started
    const { received, url } = await receiver()
    const { secret: old } = await admin.webhooks.createWebhook({ ...plain, url })
    const { secret } = await admin.webhooks.rotateWebhookSecret({ name: 'hook' })
    const signatures = async () => {
      const before = received.length
      await admin.webhooks.testWebhook({ name: 'hook' })
      await clock.advance(50)
      await until(clock, () => received.length > before)
      return received.at(-1)!
    }
    const first = await signatures()
    for (const each of [old, secret]) expect(new Webhook(each).verify(first.body, first.headers as Record<string, string>)).toBeTruthy()
    await clock.advance(24 * 3_600_000)
    expect((await signatures()).headers['webhook-signature']).not.toContain(' ')
  })

  it('are switched off when the receiver is gone, and on again by hand', async () => {
    let status = 410
    const started = await start()
    const { admin, clock } = started
    const { received, url } = await receiver(() => status)
    await admin.webhooks.createWebhook({ ...plain, url })
    await admin.webhooks.testWebhook({ name: 'hook' })
    await clock.advance(50)
    const read = async () => (await admin.webhooks.getWebhook({ name: 'hook' })).webhook!
    await until(clock, async () => !(await read()).enabled)
    expect((await read()).disabledReason).toContain('410')
    await clock.advance(3_600_000)
    expect(received.length).toBe(1)
    status = 200
    await admin.webhooks.updateWebhook({ name: 'hook', enabled: true })
    await clock.advance(50)
    await until(clock, async () => (await stateOf(started)) === WebhookDeliveryState.DELIVERED)
    expect(await admin.webhooks.deleteWebhook({ name: 'hook' })).toEqual({ deleted: true })
  })

  it('are switched off when no attempt succeeded for five days, and not before', async () => {
    const started = await start()
    const { admin, clock } = started
    const { received, url } = await receiver(() => 500)
    await admin.webhooks.createWebhook({ ...plain, url })
    const read = async () => (await admin.webhooks.getWebhook({ name: 'hook' })).webhook!
    const day = 24 * 3_600_000
    /** One attempt more, of what is due then. */
    const attempt = async (inMs: number) => {
      const before = received.length
      await admin.webhooks.testWebhook({ name: 'hook' })
      await clock.advance(inMs)
      await until(clock, async () => received.length > before && (await deliveries(started)).every(({ responseCode }) => responseCode > 0))
    }
    await attempt(50)
    const since = (await read()).failingSince!
    await attempt(4.9 * day)
    expect(await read()).toMatchObject({ enabled: true, failingSince: since })
    await admin.webhooks.testWebhook({ name: 'hook' })
    await clock.advance(0.2 * day)
    await until(clock, async () => !(await read()).enabled)
    expect((await read()).disabledReason).toBe('No attempt succeeded for 5 days.')
    const [tries, kept] = [received.length, (await deliveries(started)).length]
    await cancelTask(started)
    await clock.advance(0.5 * day)
    expect([received.length, (await deliveries(started)).length]).toEqual([tries, kept])
  })

  it('of a tenant whose receivers are slow hold up no other tenant’s', async () => {
    const { admin, clock, server } = await start()
    let waiting = 0
    const slow = createServer(() => void waiting++)
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      slow.closeAllConnections()
      slow.close()
    })
    for (let n = 0; n < 16; n++) {
      const name = `slow-${n}`
      await admin.webhooks.createWebhook({ ...plain, name, url: `http://127.0.0.1:${(slow.address() as AddressInfo).port}/` })
      for (let each = 0; each < 8; each++) await admin.webhooks.testWebhook({ name })
    }
    await clock.advance(50)
    await until(clock, () => waiting >= 32)
    const key = { name: 'acme', tenant: 'acme', scopes: ['admin'], namespaces: [], rateLimit: 0, expiresAt: undefined }
    const acme = connectTo(server, (await admin.keys.createKey(key)).secret)
    const { received, url } = await receiver()
    await acme.webhooks.createWebhook({ ...plain, url })
    await acme.webhooks.testWebhook({ name: 'hook' })
    await clock.advance(50)
    await until(clock, () => received.length === 1)
    expect(waiting).toBe(32)
  })

  it('may not lead inside unless the server allows it', async () => {
    const { admin, server } = await startTestServer()
    for (const url of [
      'http://127.0.0.1/',
      'http://0x7f000001/',
      'http://[::ffff:10.0.0.1]/',
      'http://169.254.169.254/latest',
      'ftp://example.com',
      '',
    ]) {
      expect((await failureOf(admin.webhooks.createWebhook({ ...plain, url }))).details).toMatchObject({ reason: 'VALIDATION' })
    }
    await admin.webhooks.createWebhook({ ...plain, url: 'https://example.com/' })
    const again = await failureOf(admin.webhooks.createWebhook({ ...plain, url: 'https://example.com/' }))
    expect(again.details).toMatchObject({ reason: 'ALREADY_EXISTS' })
    const wrong = await failureOf(
      admin.webhooks.createWebhook({ ...plain, name: 'b', url: 'https://example.com/', events: ['task.started'] }),
    )
    expect(wrong.details.fields?.map(({ path }) => path)).toEqual(['events'])
    const elsewhere = connectTo(server, server.key, 'elsewhere')
    expect((await failureOf(elsewhere.webhooks.getWebhook({ name: 'hook' }))).details).toMatchObject({ reason: 'NOT_FOUND' })
  })
})
