import { type Case, collect, failureOf } from '../kit.ts'

export const webhookCases: readonly Case[] = [
  {
    name: 'webhooks are made, read, listed, changed and deleted; what is wrong is refused',
    expected: {
      made: {
        name: 'alerts',
        events: ['task.failed', 'job.dead'],
        functions: ['resize'],
        queues: [],
        enabled: true,
        secret: true,
        date: true,
      },
      read: { url: 'https://example.com/hook', secret: false },
      listed: ['alerts'],
      again: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409, requestId: 'given', resource: 'webhook' },
      inside: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['url'] },
      off: { enabled: false, url: 'https://example.com/other' },
      rotated: true,
      deliveries: [],
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'webhook' },
      deleted: [true, false],
      gone: true,
    },
    async run(kit) {
      const { webhooks } = kit.client()
      const url = 'https://example.com/hook'
      const { name, events, functions, queues, enabled, secret, createdAt } = await webhooks.create('alerts', {
        url,
        events: ['task.failed', 'job.dead'],
        functions: ['resize'],
      })
      const read = (await webhooks.get('alerts'))!
      const listed = (await collect(webhooks.list())).map((webhook) => webhook.name)
      const again = await failureOf(webhooks.create('alerts', { url }))
      const inside = await failureOf(webhooks.create('inside', { url: 'http://169.254.169.254/' }))
      const off = await webhooks.update('alerts', { enabled: false, url: 'https://example.com/other' })
      const rotated = await webhooks.rotateSecret('alerts')
      return {
        made: { name, events, functions, queues, enabled, secret: secret.startsWith('whsec_'), date: createdAt instanceof Date },
        read: { url: read.url, secret: 'secret' in read },
        listed,
        again,
        inside,
        off: { enabled: off.enabled, url: off.url },
        rotated: rotated.startsWith('whsec_') && rotated !== secret,
        deliveries: await collect(webhooks.deliveries('alerts')),
        missing: await failureOf(webhooks.update('nobody', { enabled: true })),
        deleted: [await webhooks.delete('alerts'), await webhooks.delete('alerts')],
        gone: (await webhooks.get('alerts')) === undefined,
      }
    },
  },
]
