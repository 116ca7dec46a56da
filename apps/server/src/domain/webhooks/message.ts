import { createHmac } from 'node:crypto'
import type { DeliveryName, DeliveryRecord, WebhookEvent, WebhookRecord } from '../../store/webhook-port.ts'
import { webhookEvents } from '../../store/webhook-port.ts'
import { functionOfLane } from '../jobs/attested.ts'
import { decodeSeq, encodeSeq, formatId } from '../jobs/ids.ts'

/** A webhook's secret as receivers are given it. */
export function formatSecret(secret: Uint8Array): string {
  return `whsec_${Buffer.from(secret).toString('base64')}`
}

/** What receivers know a delivery by; the same at each attempt. */
export function formatDelivery({ seq, revision }: DeliveryName): string {
  return `msg_${encodeSeq(seq)}_${revision}`
}

/** What a delivery's id names; undefined when it is not one. */
export function parseDelivery(id: string): DeliveryName | undefined {
  const [, text = '', revision] = /^msg_([0-9a-z]{11})_(\d{1,9})$/.exec(id) ?? []
  const seq = decodeSeq(text)
  return seq === undefined ? undefined : { seq, revision: Number(revision) }
}

/** The type whose bit this is. */
export function eventType(bit: number): WebhookEvent {
  return (Object.keys(webhookEvents) as WebhookEvent[]).find((type) => webhookEvents[type] === bit)!
}

interface JobData {
  readonly function: string
  readonly queue: string
  readonly attempts: number
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>> | null
  readonly error: { readonly message: string; readonly code: string } | null
}

interface PipelineData {
  readonly name: string
  readonly stages: number
  readonly createdAt: number
  readonly reason: string
}

/** The body of a delivery: the same bytes at each attempt. */
export function messageOf({ seq, event, at, data }: Pick<DeliveryRecord, 'seq' | 'event' | 'at' | 'data'>, namespace: string): string {
  const type = eventType(event)
  return JSON.stringify({ type, timestamp: new Date(at).toISOString(), data: { namespace, ...detailsOf(type, seq, JSON.parse(data)) } })
}

function detailsOf(type: WebhookEvent, seq: number, data: unknown): object {
  if (type === 'webhook.test') return {}
  if (type.startsWith('pipeline.')) {
    const { name, stages, createdAt, reason } = data as PipelineData
    return { id: formatId('pipe', seq), name, stages, createdAt: new Date(createdAt).toISOString(), ...(reason && { reason }) }
  }
  const { function: lane, queue, attempts, createdAt, labels, error } = data as JobData
  const name = functionOfLane(lane)
  return {
    id: formatId(name === '' ? 'job' : 'task', seq),
    ...(name && { function: name }),
    queue,
    attempts,
    createdAt: new Date(createdAt).toISOString(),
    labels: labels ?? {},
    // Not the stack: it is the worker's own.
    ...(error && { error: { message: error.message, code: error.code } }),
  }
}

/** The headers of Standard Webhooks for an attempt. A rotated secret signs beside the new one while it is valid. */
export function signedHeaders(webhook: WebhookRecord, id: string, body: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000))
  const { secret, oldSecret, oldUntil = 0 } = webhook
  const secrets = oldSecret && now < oldUntil ? [secret, oldSecret] : [secret]
  const sign = (key: Uint8Array) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': secrets.map(sign).join(' ') }
}
