import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConflictError, ValidationError } from '@millrace/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startWorker, useServer } from '../harness/fixture.ts'

const fixture = useServer({ flags: ['--webhook-allow-private'] })
const strict = useServer()

/** Resolves with the type and data of the first `count` events that come. */
async function receive(count: number) {
  const events: { readonly type: string; readonly data: { readonly id: string } }[] = []
  let enough: (value: typeof events) => void
  const all = new Promise<typeof events>((resolve) => {
    enough = resolve
  })
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    events.push(JSON.parse(Buffer.concat(chunks).toString()))
    response.end('thanks')
    if (events.length === count) enough(events)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, all }
}

describe('webhooks', () => {
  test('tell of tasks that completed and failed, and of dead jobs', async () => {
    const mr = fixture.client()
    const { url, all } = await receive(3)
    const created = await mr.webhooks.create('hook', { url, queues: ['hooked'] })
    expect(created).toMatchObject({ name: 'hook', enabled: true, secret: expect.stringMatching(/^whsec_/), queues: ['hooked'] })
    const tasks = {
      good: () => 1,
      bad: () => {
        throw new Error('no')
      },
    }
    await startWorker(mr.worker({ queue: 'hooked', tasks, signals: false }))
    const good = await mr.tasks.submit({ function: 'good', queue: 'hooked' })
    const bad = await mr.tasks.submit({ function: 'bad', queue: 'hooked', retry: { maxAttempts: 1 } })
    const { jobId } = await mr.queue('hooked').enqueue(1, { maxAttempts: 1 })
    const [job] = await mr.queue('hooked').receive()
    await job!.fail(new Error('no'))
    const events = (await all).map(({ type, data }) => [type, data.id]).sort()
    expect(events).toEqual(
      [
        ['job.dead', jobId],
        ['task.completed', good.taskId],
        ['task.failed', bad.taskId],
      ].sort(),
    )
    const { items } = await mr.webhooks.deliveries('hook')
    expect(items.map(({ type }) => type).sort()).toEqual(['job.dead', 'task.completed', 'task.failed'])
  })

  test('are made, read, changed, tested and deleted', async () => {
    const mr = fixture.client()
    const { url, all } = await receive(2)
    await mr.webhooks.create('life', { url, events: ['task.failed'] })
    await expect(mr.webhooks.create('life', { url })).rejects.toThrow(ConflictError)
    expect(await mr.webhooks.get('life')).toMatchObject({ url, events: ['task.failed'], functions: [] })
    expect(await mr.webhooks.get('nobody')).toBeUndefined()
    expect((await mr.webhooks.list()).items.map(({ name }) => name)).toContain('life')
    expect(await mr.webhooks.rotateSecret('life')).toMatch(/^whsec_/)
    expect(await mr.webhooks.update('life', { enabled: false })).toMatchObject({ enabled: false, disabledReason: 'It was switched off.' })
    expect(await mr.webhooks.update('life', { enabled: true })).toMatchObject({ enabled: true })
    const deliveryId = await mr.webhooks.test('life')
    await mr.webhooks.redeliver('life', await mr.webhooks.test('life'))
    expect((await all).map(({ type }) => type)).toEqual(['webhook.test', 'webhook.test'])
    expect((await mr.webhooks.deliveries('life')).items.map((delivery) => delivery.deliveryId)).toContain(deliveryId)
    expect([await mr.webhooks.delete('life'), await mr.webhooks.delete('life')]).toEqual([true, false])
  })

  test('lead to public addresses alone', async () => {
    await expect(strict.client().webhooks.create('inside', { url: 'http://127.0.0.1:1/' })).rejects.toThrow(ValidationError)
  })
})
