import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { JobChange, Scope } from '../../store/ports.ts'
import { JobState } from '../../store/ports.ts'
import { type DeliveryRecord, DeliveryState, type WebhookRecord, type WebhookStorage } from '../../store/webhook-port.ts'
import { Alarm } from '../alarm.ts'
import { formatDelivery, messageOf, signedHeaders } from './message.ts'
import type { Answer, Sender } from './sender.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** Waits between attempts, as Standard Webhooks proposes them; one attempt more than there are waits. */
const attemptWaits: readonly number[] = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
]
/** How long a rotated secret signs beside the new one. */
export const oldSecretMs = 24 * hour
/** A webhook none of whose attempts succeeded for so long is switched off. */
const failingMs = 5 * 24 * hour
/** How long deliveries are kept; longer than all waits together. */
const keptMs = 7 * 24 * hour
/** An attempt that is not heard of for so long was its server's last: another is made. Longer than any attempt lasts. */
const leaseMs = minute
/** Events are sent so long after they happened, so that many are looked for at once. */
const gatherMs = 50
/** Attempts at once: of a webhook and of a tenant, so that slow receivers hold up their own events alone, and of this server. */
const most = { ofWebhook: 8, ofTenant: 32, inAll: 128 }
/** Webhooks looked at at once. */
const headsAtOnce = 10_000
const sweepChunk = 500

/** Sends what webhooks have to send. The events themselves are kept by the store, as their cause is. */
export class WebhookEngine {
  readonly #store: WebhookStorage
  readonly #clock: Clock
  readonly #sender: Sender
  readonly #onError: (error: unknown) => void
  readonly #alarm: Alarm
  readonly #sweeping: Alarm
  readonly #abort = new AbortController()
  readonly #attempts = new Set<Promise<void>>()
  /** Attempts under way, of each webhook and each tenant. */
  readonly #busy = new Map<string, number>()
  #woken = false

  constructor(options: { store: WebhookStorage; clock: Clock; sender: Sender; onError: (error: unknown) => void }) {
    const { store, clock, sender, onError } = options
    this.#store = store
    this.#clock = clock
    this.#sender = sender
    this.#onError = onError
    this.#alarm = new Alarm({ clock, onError, run: () => this.#run() })
    this.#sweeping = new Alarm({
      clock,
      onError,
      async run(closing) {
        while (!closing.aborted && (await store.sweep(clock.now() - keptMs, sweepChunk)) === sweepChunk);
        return clock.now() + hour
      },
    })
    this.wake()
    this.#sweeping.dueAt(clock.now() + hour)
  }

  /** Jobs or pipelines changed, here or at another server. */
  changed(changes: readonly JobChange[]): void {
    if (changes.some(({ state }) => state >= JobState.completed)) this.wake()
  }

  /** There may be something to send. */
  wake(): void {
    this.#look(gatherMs)
  }

  /** A secret that nobody knows. */
  newSecret(): Uint8Array {
    return randomBytes(32)
  }

  /** Ends the attempts under way: they will be made again. */
  async close(): Promise<void> {
    this.#abort.abort()
    await Promise.all([this.#alarm.close(), this.#sweeping.close()])
    await Promise.all(this.#attempts)
  }

  #look(inMs: number): void {
    this.#woken = true
    this.#alarm.dueAt(this.#clock.now() + inMs)
  }

  async #run(): Promise<number | undefined> {
    this.#woken = false
    const now = this.#clock.now()
    let next = Infinity
    for (const { scope, webhook, first } of await this.#store.heads(headsAtOnce)) {
      if (first > now) next = Math.min(next, first)
      else await this.#begin(scope, webhook)
    }
    if (this.#woken) return now + gatherMs
    return next === Infinity ? undefined : next
  }

  async #begin(scope: Scope, webhook: WebhookRecord): Promise<void> {
    const key = JSON.stringify([scope.tenant, scope.namespace, webhook.name])
    const tenant = JSON.stringify([scope.tenant])
    const ofBoth = [key, tenant]
    const free = Math.min(most.ofWebhook - this.#underWay(key), most.ofTenant - this.#underWay(tenant), most.inAll - this.#attempts.size)
    // The end of an attempt looks again.
    if (free <= 0 || this.#abort.signal.aborted) return
    const now = this.#clock.now()
    const taken = await this.#store.take(scope, webhook.name, { now, until: now + leaseMs, limit: free })
    // The server has begun to stop meanwhile.
    if (this.#abort.signal.aborted) return this.#store.giveBack(scope, webhook.name, taken, now)
    for (const delivery of taken) {
      for (const each of ofBoth) this.#busy.set(each, this.#underWay(each) + 1)
      const attempt: Promise<void> = this.#attempt(scope, webhook, delivery)
        .catch(this.#onError)
        .finally(() => {
          this.#attempts.delete(attempt)
          for (const each of ofBoth) {
            const left = this.#underWay(each) - 1
            if (left > 0) this.#busy.set(each, left)
            else this.#busy.delete(each)
          }
          this.#look(0)
        })
      this.#attempts.add(attempt)
    }
  }

  #underWay(key: string): number {
    return this.#busy.get(key) ?? 0
  }

  async #attempt(scope: Scope, webhook: WebhookRecord, delivery: DeliveryRecord): Promise<void> {
    const body = messageOf(delivery, scope.namespace)
    const headers = signedHeaders(webhook, formatDelivery(delivery), body, this.#clock.now())
    const answer = await this.#sender.post(webhook.url, headers, body, this.#abort.signal)
    // Cut off by the end of this server: what holds is that nothing was heard.
    if (this.#abort.signal.aborted) return
    const now = this.#clock.now()
    const wait = attemptWaits[delivery.attempts - 1]
    const [state, nextAt] =
      answer.error === ''
        ? ([DeliveryState.delivered, undefined] as const)
        : wait === undefined
          ? ([DeliveryState.failed, undefined] as const)
          : ([DeliveryState.pending, now + wait] as const)
    const { code, body: text, error } = answer
    await this.#store.finish(scope, webhook.name, {
      name: delivery,
      state,
      attempts: delivery.attempts,
      nextAt,
      code,
      answer: text,
      error,
      now,
    })
    await this.#judge(scope, webhook, answer, now)
  }

  /** Switches off a webhook that is gone or fails for long. */
  async #judge(scope: Scope, webhook: WebhookRecord, { code, error }: Answer, now: number): Promise<void> {
    if (error === '') {
      if (webhook.failingSince !== undefined) await this.#store.failing(scope, webhook.name, undefined)
      return
    }
    const since = await this.#store.failing(scope, webhook.name, now)
    const why = code === 410 ? 'The receiver answered 410: it is gone.' : 'No attempt succeeded for 5 days.'
    if (code !== 410 && (since === undefined || now - since < failingMs)) return
    await this.#store.update(scope, webhook.name, { enabled: { on: false, why } }, now)
  }
}
