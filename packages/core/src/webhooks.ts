import type * as wire from '@millrace/protocol'
import type { ClientContext } from './context.ts'
import { InternalError, NotFoundError } from './errors/errors.ts'
import type { CallOptions } from './options.ts'
import { createList, type List } from './page.ts'
import type { ListOptions } from './queues/types.ts'
import { missingField, toInt, toText } from './wire.ts'

/** What webhooks tell of. `job.dead`: a queue job failed for good. */
export type WebhookEvent =
  | 'task.completed'
  | 'task.failed'
  | 'task.cancelled'
  | 'pipeline.completed'
  | 'pipeline.failed'
  | 'pipeline.cancelled'
  | 'job.dead'

/** Where events are sent to. */
export interface WebhookInfo {
  /** Its name in the namespace. */
  readonly name: string
  /** Where events are posted to. */
  readonly url: string
  /** Types of the events that are sent. */
  readonly events: readonly WebhookEvent[]
  /** Only tasks of these functions; empty means all. */
  readonly functions: readonly string[]
  /** Only tasks and jobs of these queues; empty means all. */
  readonly queues: readonly string[]
  /** False: events are neither kept nor sent. */
  readonly enabled: boolean
  /** Why it is not enabled; empty when it is. */
  readonly disabledReason: string
  /** When it was made. */
  readonly createdAt: Date
  /** Since when no attempt succeeded; absent when the latest did. After 5 days the server disables the webhook. */
  readonly failingSince?: Date
}

/** A webhook to make. */
export interface CreateWebhookOptions extends CallOptions {
  /** Where events are posted to: `http` or `https`, any port, no user name. */
  readonly url: string
  /** Types of events. Default: all. */
  readonly events?: readonly WebhookEvent[]
  /** Only tasks of these functions, at most 100. Default: all. */
  readonly functions?: readonly string[]
  /** Only tasks and jobs of these queues, at most 100. Default: all. */
  readonly queues?: readonly string[]
}

/** What to change of a webhook. */
export interface UpdateWebhookOptions extends CallOptions {
  /** Where events are posted to from now on. */
  readonly url?: string
  /** False switches it off, true on again. */
  readonly enabled?: boolean
}

/** A webhook that was just made: the only time its secret is shown. */
export interface CreatedWebhook extends WebhookInfo {
  /** `whsec_…`: what receivers verify signatures with. */
  readonly secret: string
}

/** One event on its way to a receiver. */
export interface WebhookDelivery {
  /** What the header `webhook-id` says, the same at each attempt. */
  readonly deliveryId: string
  /** Type of the event; `webhook.test` for a test. */
  readonly type: WebhookEvent | 'webhook.test'
  /** When it happened. */
  readonly timestamp: Date
  /** How far it is; `failed` when all its attempts did. */
  readonly state: 'pending' | 'delivered' | 'failed'
  /** Attempts made. */
  readonly attempts: number
  /** When the next attempt is due; absent when there is none. */
  readonly nextAttemptAt?: Date
  /** When the latest attempt ended; absent before. */
  readonly lastAttemptAt?: Date
  /** HTTP status of the latest answer; 0 when there was none. */
  readonly responseCode: number
  /** The first 1024 bytes of the latest answer. */
  readonly responseBody: string
  /** Why the latest attempt failed; empty when it did not. */
  readonly error: string
}

/** Tells other systems over HTTP when tasks, pipelines and queue jobs end. */
export class Webhooks {
  readonly #context: ClientContext

  /** @internal Use `mr.webhooks`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /** Makes a webhook and shows its secret, this once. @throws ConflictError, ValidationError */
  async create(name: string, options: CreateWebhookOptions): Promise<CreatedWebhook> {
    const { url, events = [], functions = [], queues = [] } = options
    const request = {
      name: toText('name', name),
      url: toText('url', url),
      events: [...events],
      functions: [...functions],
      queues: [...queues],
    }
    const { webhook, secret } = await this.#context.unsafe('WebhookService/CreateWebhook', request, options)
    return { ...fromWebhook(webhook), secret }
  }

  /** Reads a webhook; undefined when there is none. */
  async get(name: string, call?: CallOptions): Promise<WebhookInfo | undefined> {
    try {
      const request = { name: toText('name', name) }
      return fromWebhook((await this.#context.safe('WebhookService/GetWebhook', request, call)).webhook)
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  /** Lists webhooks by name. */
  list(options: ListOptions = {}): List<WebhookInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { webhooks, nextCursor } = await this.#context.safe('WebhookService/ListWebhooks', request, options)
      return { items: webhooks.map(fromWebhook), nextCursor }
    }, options.cursor)
  }

  /** Changes where a webhook sends to, or switches it off or on. @throws NotFoundError */
  async update(name: string, options: UpdateWebhookOptions): Promise<WebhookInfo> {
    const request = { name: toText('name', name), url: options.url, enabled: options.enabled }
    return fromWebhook((await this.#context.safe('WebhookService/UpdateWebhook', request, options)).webhook)
  }

  /** Deletes a webhook with its deliveries. @returns false when there was none. */
  async delete(name: string, call?: CallOptions): Promise<boolean> {
    const request = { name: toText('name', name) }
    return (await this.#context.unsafe('WebhookService/DeleteWebhook', request, call)).deleted
  }

  /** Gives a webhook a new secret and returns it, this once. The old one signs beside it for 24 hours. @throws NotFoundError */
  async rotateSecret(name: string, call?: CallOptions): Promise<string> {
    const request = { name: toText('name', name) }
    return (await this.#context.unsafe('WebhookService/RotateWebhookSecret', request, call)).secret
  }

  /** Sends an event of type `webhook.test`; returns its delivery's id. @throws NotFoundError */
  async test(name: string, call?: CallOptions): Promise<string> {
    const request = { name: toText('name', name) }
    return (await this.#context.unsafe('WebhookService/TestWebhook', request, call)).deliveryId
  }

  /** Lists what was sent and is to be sent, youngest first; it is kept for 7 days. */
  deliveries(name: string, options: ListOptions = {}): List<WebhookDelivery> {
    return createList(async (cursor) => {
      const request = { name: toText('name', name), limit: toInt('limit', options.limit), cursor }
      const { deliveries, nextCursor } = await this.#context.safe('WebhookService/ListWebhookDeliveries', request, options)
      return { items: deliveries.map(fromDelivery), nextCursor }
    }, options.cursor)
  }

  /** Sends a delivery again, now, with all its attempts. @throws NotFoundError */
  async redeliver(name: string, deliveryId: string, call?: CallOptions): Promise<void> {
    const request = { name: toText('name', name), deliveryId: toText('deliveryId', deliveryId) }
    await this.#context.safe('WebhookService/RedeliverWebhook', request, call)
  }
}

function fromWebhook(webhook: wire.Webhook | undefined): WebhookInfo {
  if (!webhook) throw new InternalError(missingField('the webhook'))
  const { createdAt, failingSince, ...rest } = webhook
  return {
    ...rest,
    events: rest.events as WebhookEvent[],
    createdAt: createdAt ?? new Date(0),
    ...(failingSince && { failingSince }),
  }
}

const deliveryStates: Readonly<Record<number, WebhookDelivery['state']>> = { 1: 'pending', 2: 'delivered', 3: 'failed' }

function fromDelivery({ type, timestamp, state, nextAttemptAt, lastAttemptAt, ...rest }: wire.WebhookDelivery): WebhookDelivery {
  return {
    ...rest,
    type: type as WebhookDelivery['type'],
    timestamp: timestamp ?? new Date(0),
    state: deliveryStates[state] ?? 'pending',
    ...(nextAttemptAt && { nextAttemptAt }),
    ...(lastAttemptAt && { lastAttemptAt }),
  }
}
