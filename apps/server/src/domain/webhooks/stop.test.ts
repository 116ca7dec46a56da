import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import type { WebhookStorage } from '../../store/webhook-port.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import { WebhookEngine } from './engine.ts'
import { Sender } from './sender.ts'

it('an engine that stops while it takes deliveries gives them back: the next one sends them at once', async () => {
  const clock = new ManualClock()
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now: clock.now }
  const store = await openSqliteStore({ path: ':memory:', ...options })
  let came = 0
  const receiver = createServer((_, response) => {
    came++
    response.end()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    receiver.close()
    await store.close()
  })
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`
  const scope = { tenant: await store.keys.tenant('t', 0), namespace: 'n' }
  await store.webhooks.create(scope, { name: 'w', url, events: 127, functions: [], queues: [], secret: new Uint8Array(32) }, clock.now())
  await store.webhooks.add(scope, 'w', { seq: 5, revision: 1, event: 128, data: '{}' }, clock.now())
  const open = (webhooks: WebhookStorage) =>
    new WebhookEngine({
      store: webhooks,
      sender: new Sender({ clock, allowPrivate: true }),
      clock,
      onError: (error) => expect(error).toBeUndefined(),
    })

  const answered = Promise.withResolvers<void>()
  const stopping = open({
    ...store.webhooks,
    async take(...request) {
      const taken = await store.webhooks.take(...request)
      await answered.promise
      return taken
    },
  })
  await clock.advance(100)
  const stopped = stopping.close()
  answered.resolve()
  await stopped
  expect(came).toBe(0)

  const next = open(store.webhooks)
  await clock.advance(100)
  await expect.poll(() => came, { timeout: 10_000 }).toBe(1)
  await next.close()
})
