import type { Scope, Seq } from './ports.ts'

/** Types of events and the bits that stand for them, in `events` of webhooks and deliveries; the schemas' triggers have the same numbers. */
export const webhookEvents = {
  'task.completed': 1,
  'task.failed': 2,
  'task.cancelled': 4,
  'pipeline.completed': 8,
  'pipeline.failed': 16,
  'pipeline.cancelled': 32,
  'job.dead': 64,
  'webhook.test': 128,
} as const
export type WebhookEvent = keyof typeof webhookEvents

/** Where events are sent to, but for secrets. */
export interface NewWebhook {
  readonly name: string
  readonly url: string
  /** Bits of {@link webhookEvents}. */
  readonly events: number
  /** Lanes' functions; empty means all. */
  readonly functions: readonly string[]
  /** Empty means all. */
  readonly queues: readonly string[]
  readonly secret: Uint8Array
}

export interface WebhookRecord extends NewWebhook {
  /** It signs too, until `oldUntil`. */
  readonly oldSecret?: Uint8Array
  readonly oldUntil?: number
  readonly createdAt: number
  readonly disabledAt?: number
  /** '' while it is enabled. */
  readonly disabledWhy: string
  /** The first failed attempt since the latest that succeeded. */
  readonly failingSince?: number
}

/** What ended, and which of its changes that was: a job that is retried ends more than once. */
export interface DeliveryName {
  readonly seq: Seq
  readonly revision: number
}

export const DeliveryState = { pending: 1, delivered: 2, failed: 3 } as const
export type DeliveryState = (typeof DeliveryState)[keyof typeof DeliveryState]

/** An event on its way to a webhook. Made by the transaction that ends what it tells of. */
export interface DeliveryRecord extends DeliveryName {
  /** One of the bits of {@link webhookEvents}. */
  readonly event: number
  readonly at: number
  /** JSON object: what was known of the job or pipeline. */
  readonly data: string
  readonly state: DeliveryState
  readonly attempts: number
  readonly nextAt?: number
  readonly attemptedAt?: number
  /** 0 when there was no answer. */
  readonly code: number
  readonly answer: string
  readonly error: string
}

/** How an attempt ended. */
export interface DeliveryOutcome extends Pick<DeliveryRecord, 'state' | 'attempts' | 'nextAt' | 'code' | 'answer' | 'error'> {
  readonly name: DeliveryName
  readonly now: number
}

/** A webhook with something to send. */
export interface WebhookHead {
  readonly scope: Scope
  readonly webhook: WebhookRecord
  /** When its first delivery is due. */
  readonly first: number
}

/** Webhooks and what they send. Events of a disabled webhook are not kept; what it had before waits. */
export interface WebhookStorage {
  /** False when there is one of this name. */
  create(scope: Scope, webhook: NewWebhook, now: number): Promise<boolean>
  get(scope: Scope, name: string): Promise<WebhookRecord | undefined>
  /** By name, those after `after`. */
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly WebhookRecord[]>
  /** False when there is none. Switched on, it is no longer taken to fail. */
  update(
    scope: Scope,
    name: string,
    change: { readonly url?: string; readonly enabled?: { readonly on: boolean; readonly why: string } },
    now: number,
  ): Promise<boolean>
  /** Its secret becomes the old one, which signs until `oldUntil`. False when there is none. */
  rotate(scope: Scope, name: string, secret: Uint8Array, oldUntil: number): Promise<boolean>
  /** False when there was none. */
  delete(scope: Scope, name: string): Promise<boolean>
  /** Adds a delivery that is due now, unless there is one of its name. */
  add(
    scope: Scope,
    webhook: string,
    delivery: DeliveryName & { readonly event: number; readonly data: string },
    now: number,
  ): Promise<boolean>
  /** Youngest first, those before `before`. */
  deliveries(
    scope: Scope,
    webhook: string,
    page: { readonly limit: number; readonly before?: DeliveryName & { readonly at: number } },
  ): Promise<readonly DeliveryRecord[]>
  /** Makes a delivery due now, with fresh attempts. False when there is none. */
  redeliver(scope: Scope, webhook: string, name: DeliveryName, now: number): Promise<boolean>
  /** Enabled webhooks that have something to send, now or later, first due first. */
  heads(limit: number): Promise<readonly WebhookHead[]>
  /** Takes deliveries that are due, each for another attempt; one that does not end by `until` is due again then. */
  take(
    scope: Scope,
    webhook: string,
    take: { readonly now: number; readonly until: number; readonly limit: number },
  ): Promise<readonly DeliveryRecord[]>
  /** Deliveries that were taken and whose attempts were not begun are due now, as if nobody had taken them. */
  giveBack(scope: Scope, webhook: string, deliveries: readonly DeliveryRecord[], now: number): Promise<void>
  /** Notes how an attempt ended, unless a later one has begun. */
  finish(scope: Scope, webhook: string, outcome: DeliveryOutcome): Promise<void>
  /** Notes since when a webhook fails, or that it does not; returns since when. */
  failing(scope: Scope, webhook: string, since: number | undefined): Promise<number | undefined>
  /** Forgets deliveries of events before a time; returns how many, at most `limit`. */
  sweep(before: number, limit: number): Promise<number>
}
