import { type Webhook, type WebhookDelivery, WebhookDeliveryState, type WebhookServiceDefinition } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { functionOfLane, isAttestedLane, lanesOf } from '../domain/jobs/attested.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import { oldSecretMs, type WebhookEngine } from '../domain/webhooks/engine.ts'
import { eventType, formatDelivery, formatSecret, parseDelivery } from '../domain/webhooks/message.ts'
import { urlProblem } from '../domain/webhooks/sender.ts'
import { MillraceError, notFound } from '../errors.ts'
import type { Scope } from '../store/ports.ts'
import {
  type DeliveryName,
  type DeliveryRecord,
  DeliveryState,
  type WebhookEvent,
  type WebhookRecord,
  type WebhookStorage,
  webhookEvents,
} from '../store/webhook-port.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { toDate } from './shapes.ts'

/** Events that may be asked for: all but the one of tests. */
const askable = Object.keys(webhookEvents).filter((type) => type !== 'webhook.test')

/** What the service of webhooks stands on. */
export interface WebhookServiceContext {
  readonly webhooks: WebhookStorage
  readonly engine: WebhookEngine
  readonly clock: Clock
  /** URLs may name addresses that are not public. */
  readonly allowPrivate: boolean
}

/** Webhooks. */
export function createWebhookService({
  webhooks,
  engine,
  clock,
  allowPrivate,
}: WebhookServiceContext): ServiceOf<typeof WebhookServiceDefinition> {
  async function need(scope: Scope, name: string): Promise<WebhookRecord> {
    const found = await webhooks.get(scope, name)
    if (!found) throw notFound('webhook', name)
    return found
  }
  const checkUrl = (checks: Checks, url: string) => {
    checks.text('url', url, limits.url)
    const problem = url === '' ? 'is missing' : urlProblem(url, allowPrivate)
    if (problem) checks.fail('url', problem)
  }

  return {
    async createWebhook({ name, url, events, functions, queues }, { scope }) {
      requireWhole(scope, 'make webhooks')
      const checks = new Checks()
      checks.name('name', name)
      checkUrl(checks, url)
      for (const type of events) if (!askable.includes(type)) checks.fail('events', `has an unknown type; known are ${askable.join(', ')}`)
      for (const [field, list] of Object.entries({ functions, queues })) {
        checks.count(field, list.length, 0, limits.webhookFilter)
        for (const each of list) checks.name(field, each)
      }
      checks.done()
      const types = (events.length > 0 ? events : askable) as WebhookEvent[]
      const secret = engine.newSecret()
      const webhook = {
        name,
        url,
        events: [...new Set(types)].reduce((bits, type) => bits | webhookEvents[type], 0),
        functions: [...new Set(functions)].flatMap(lanesOf),
        queues: [...new Set(queues)],
        secret,
      }
      if (!(await webhooks.create(scope, webhook, clock.now()))) {
        throw new MillraceError('ALREADY_EXISTS', `There is a webhook '${name}' already: change or delete it, or choose another name.`, {
          resource: 'webhook',
          id: name,
        })
      }
      return { webhook: toWebhook(await need(scope, name)), secret: formatSecret(secret) }
    },

    async getWebhook({ name }, { scope }) {
      requireWhole(scope, 'read webhooks')
      return { webhook: toWebhook(await need(scope, name)) }
    },

    async listWebhooks({ limit: asked, cursor }, { scope }) {
      requireWhole(scope, 'read webhooks')
      const checks = new Checks()
      checks.text('cursor', cursor, limits.text)
      const limit = checks.page('limit', asked)
      checks.done()
      const found = await webhooks.list(scope, { limit: limit + 1, after: cursor })
      const page = found.slice(0, limit)
      return { webhooks: page.map(toWebhook), nextCursor: found.length > limit ? page.at(-1)!.name : '' }
    },

    async updateWebhook({ name, url, enabled }, { scope }) {
      requireWhole(scope, 'change webhooks')
      const checks = new Checks()
      if (url !== undefined) checkUrl(checks, url)
      checks.done()
      const change = { url, enabled: enabled === undefined ? undefined : { on: enabled, why: enabled ? '' : 'It was switched off.' } }
      if (!(await webhooks.update(scope, name, change, clock.now()))) throw notFound('webhook', name)
      engine.wake()
      return { webhook: toWebhook(await need(scope, name)) }
    },

    async deleteWebhook({ name }, { scope }) {
      requireWhole(scope, 'delete webhooks')
      return { deleted: await webhooks.delete(scope, name) }
    },

    async rotateWebhookSecret({ name }, { scope }) {
      requireWhole(scope, 'change webhooks')
      const secret = engine.newSecret()
      if (!(await webhooks.rotate(scope, name, secret, clock.now() + oldSecretMs))) throw notFound('webhook', name)
      return { secret: formatSecret(secret) }
    },

    async testWebhook({ name }, { scope }) {
      requireWhole(scope, 'test webhooks')
      await need(scope, name)
      const now = clock.now()
      const test = { seq: now, event: webhookEvents['webhook.test'], data: '{}' }
      let revision = 0
      while (!(await webhooks.add(scope, name, { ...test, revision }, now))) revision++
      engine.wake()
      return { deliveryId: formatDelivery({ seq: now, revision }) }
    },

    async listWebhookDeliveries({ name, limit: asked, cursor }, { scope }) {
      requireWhole(scope, 'read webhooks')
      const checks = new Checks()
      const before = parseCursor(cursor)
      if (cursor !== '' && !before) checks.fail('cursor', 'is not one; give the nextCursor of a page')
      const limit = checks.page('limit', asked)
      checks.done()
      await need(scope, name)
      const found = await webhooks.deliveries(scope, name, { limit: limit + 1, before })
      const page = found.slice(0, limit)
      return { deliveries: page.map(toDelivery), nextCursor: found.length > limit ? formatCursor(page.at(-1)!) : '' }
    },

    async redeliverWebhook({ name, deliveryId }, { scope }) {
      requireWhole(scope, 'send webhooks again')
      const delivery = parseDelivery(deliveryId)
      if (!delivery || !(await webhooks.redeliver(scope, name, delivery, clock.now())))
        throw notFound('delivery', deliveryId, `of '${name}'`)
      engine.wake()
      return {}
    },
  }
}

function formatCursor(delivery: DeliveryRecord): string {
  return `${delivery.at}.${formatDelivery(delivery)}`
}

function parseCursor(cursor: string): (DeliveryName & { readonly at: number }) | undefined {
  const [, at, id = ''] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  const name = parseDelivery(id)
  return name && { ...name, at: Number(at) }
}

function toWebhook(record: WebhookRecord): Webhook {
  const { name, url, events, functions, queues, createdAt, disabledAt, disabledWhy, failingSince } = record
  return {
    name,
    url,
    events: askable.filter((type) => (events & webhookEvents[type as WebhookEvent]) !== 0),
    functions: functions.filter((lane) => !isAttestedLane(lane)).map(functionOfLane),
    queues: [...queues],
    enabled: disabledAt === undefined,
    disabledReason: disabledWhy,
    createdAt: toDate(createdAt),
    failingSince: toDate(failingSince),
  }
}

const states = {
  [DeliveryState.pending]: WebhookDeliveryState.PENDING,
  [DeliveryState.delivered]: WebhookDeliveryState.DELIVERED,
  [DeliveryState.failed]: WebhookDeliveryState.FAILED,
} as const

function toDelivery(delivery: DeliveryRecord): WebhookDelivery {
  return {
    deliveryId: formatDelivery(delivery),
    type: eventType(delivery.event),
    timestamp: toDate(delivery.at),
    state: states[delivery.state],
    attempts: delivery.attempts,
    nextAttemptAt: toDate(delivery.nextAt),
    lastAttemptAt: toDate(delivery.attemptedAt),
    responseCode: delivery.code,
    responseBody: delivery.answer,
    error: delivery.error,
  }
}
