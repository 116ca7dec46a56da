import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { run, withServer } from './cli-runner.ts'
import { newTask } from './harness.ts'

it('millrace webhooks: made, listed, tested, switched, with new secrets, their deliveries shown and sent again, deleted', async () => {
  const types: string[] = []
  let status = 410
  const receiver = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    types.push((JSON.parse(Buffer.concat(chunks).toString()) as { type: string }).type)
    response.writeHead(status).end('seen')
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void receiver.close())
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`

  const { admin, cli } = await withServer({ webhookAllowPrivate: true })
  const made = await cli('webhooks', 'create', 'alerts', url, '--events', 'task.cancelled,job.dead', '--json')
  expect(made).toMatchObject({ code: 0 })
  expect(JSON.parse(made.stdout)).toMatchObject({
    name: 'alerts',
    url,
    events: ['task.cancelled', 'job.dead'],
    secret: expect.stringMatching(/^whsec_/),
  })
  expect((await cli('webhooks', 'create', 'alerts', url)).stderr).toContain("'alerts'")
  expect((await cli('webhooks', 'create', 'other', 'ftp://x')).stderr).toContain('give http: or https:')

  const { taskId } = await admin.tasks.submitTask({ task: newTask({ function: 'work' }), requestId: '' })
  await admin.tasks.cancelTask({ taskId, reason: '' })
  const list = async () => (await cli('webhooks', 'list')).stdout
  // Gone, says the receiver: it is switched off.
  await expect.poll(list, { timeout: 20_000 }).toContain('The receiver answered 410')
  const deliveries = async () => {
    const { stdout } = await cli('webhooks', 'deliveries', 'alerts', '--json')
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { deliveryId: string; state: string; responseCode: number })
  }
  const [delivery] = await deliveries()
  expect(delivery).toMatchObject({ responseCode: 410 })
  expect((await cli('webhooks', 'deliveries', 'alerts')).stdout).toMatch(/task\.cancelled.*410/)

  status = 200
  expect((await cli('webhooks', 'enable', 'alerts')).stdout).toBe('alerts is on\n')
  expect(await cli('webhooks', 'redeliver', 'alerts', delivery!.deliveryId)).toMatchObject({ code: 0 })
  await expect.poll(async () => (await deliveries())[0]!.responseCode, { timeout: 20_000 }).toBe(200)
  expect(types).toEqual(['task.cancelled', 'task.cancelled'])

  expect((await cli('webhooks', 'rotate', 'alerts')).stdout).toMatch(/whsec_/)
  expect((await cli('webhooks', 'rotate', 'none')).stderr).toContain("'none'")
  expect((await cli('webhooks', 'test', 'alerts')).stdout).toMatch(/^msg_\w+ is sent/)
  await expect.poll(() => types, { timeout: 20_000 }).toContain('webhook.test')
  expect((await cli('webhooks', 'disable', 'alerts')).stdout).toBe('alerts is off\n')
  expect(await list()).toContain('It was switched off.')

  expect(await cli('webhooks', 'delete', 'alerts')).toMatchObject({ code: 0 })
  expect(await list()).not.toContain('alerts')
  expect(await run(['webhooks', 'create'])).toMatchObject({ code: 2 })
})
