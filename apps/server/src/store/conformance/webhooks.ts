import { expect } from 'vitest'
import { DeliveryState, type NewWebhook } from '../webhook-port.ts'
import type { Case, Harness } from './harness.ts'

const hook = (change: Partial<NewWebhook> = {}): NewWebhook => ({
  name: 'hook',
  url: 'https://example.com/hook',
  events: 127,
  functions: [],
  queues: [],
  secret: new Uint8Array([1, 2, 3]),
  ...change,
})

const create = (t: Harness, change?: Partial<NewWebhook>) => t.store.webhooks.create(t.scope, hook(change), t.clock.now())
const sent = (t: Harness, name = 'hook', scope = t.scope) => t.store.webhooks.deliveries(scope, name, { limit: 100 })
const take = (t: Harness, limit = 10) =>
  t.store.webhooks.take(t.scope, 'hook', { now: t.clock.now(), until: t.clock.now() + 60_000, limit })

/** Fails the next job of queue `q` for good. */
async function failNext(t: Harness, functions = ['']): Promise<void> {
  const [job] = await t.claim({ functions, max: 1 })
  await t.fail(job!, { noRetry: true })
}

/** Webhooks: nothing that ends is missed, and nothing is told of to others. */
export const webhookCases: readonly Case[] = [
  {
    name: 'keeps an event for each end of a task and each dead job, in the transaction that ends it',
    async run(t) {
      await create(t)
      const labels = { customer: 'a "b"' }
      const [done, failed, cancelled, ran, dead] = await t.enqueue(
        { function: 'f', labels },
        { function: 'g' },
        { function: 'h' },
        { queue: 'r' },
        {},
      )
      const [job] = await t.claim({ functions: ['f'] })
      await t.complete(job!)
      await failNext(t, ['g'])
      await t.store.jobs.cancel(t.scope, cancelled!, 'no need', t.clock.now())
      const [plain] = await t.claim({ queue: 'r' })
      await t.complete(plain!)
      await failNext(t)
      await t.reopen()
      const deliveries = await sent(t)
      expect(deliveries.map(({ seq, event }) => [seq, event])).toEqual([
        [dead, 64],
        [cancelled, 4],
        [failed, 2],
        [done, 1],
      ])
      expect(
        deliveries.every(({ nextAt, state, attempts }) => nextAt === t.clock.now() && state === DeliveryState.pending && attempts === 0),
      ).toBe(true)
      expect(ran).toBeDefined()
      expect(JSON.parse(deliveries[3]!.data)).toEqual({
        function: 'f',
        queue: 'q',
        attempts: 1,
        createdAt: t.clock.now(),
        labels,
        error: null,
      })
      expect(JSON.parse(deliveries[2]!.data)).toMatchObject({ function: 'g', error: { message: 'no', code: 'E' } })
    },
  },
  {
    name: 'keeps the end of a job again when it is retried, and none when leases run out with attempts left',
    async run(t) {
      await create(t)
      const [seq] = await t.enqueue({ function: 'f' })
      await t.claim({ functions: ['f'] })
      await t.tick(31_000)
      expect(await sent(t)).toEqual([])
      await failNext(t, ['f'])
      await t.store.jobs.retry(t.scope, seq!, t.clock.now())
      await failNext(t, ['f'])
      const deliveries = await sent(t)
      expect(deliveries.map(({ event }) => event)).toEqual([2, 2])
      expect(new Set(deliveries.map(({ revision }) => revision)).size).toBe(2)
    },
  },
  {
    name: 'keeps only what a webhook asks for, of its own tenant and namespace',
    async run(t) {
      await create(t, { name: 'dead', events: 64 })
      await create(t, { name: 'function', functions: ['f'] })
      await create(t, { name: 'queue', queues: ['elsewhere'] })
      await create(t, { name: 'off' })
      await t.store.webhooks.update(t.scope, 'off', { enabled: { on: false, why: 'not now' } }, t.clock.now())
      await t.store.webhooks.create(t.otherTenant, hook(), t.clock.now())
      await t.store.webhooks.create(t.otherNamespace, hook(), t.clock.now())
      await t.enqueue({ function: 'f' }, { function: 'ff' }, {})
      await failNext(t, ['f'])
      await failNext(t, ['ff'])
      await failNext(t)
      expect((await sent(t, 'dead')).map(({ event }) => event)).toEqual([64])
      expect((await sent(t, 'function')).map(({ event }) => event)).toEqual([64, 2])
      expect([await sent(t, 'queue'), await sent(t, 'off')]).toEqual([[], []])
      expect([await sent(t, 'hook', t.otherTenant), await sent(t, 'hook', t.otherNamespace)]).toEqual([[], []])
    },
  },
  {
    name: 'tells of the end of pipelines',
    async run(t) {
      await create(t, { events: 32 })
      const task = { queue: 'q', function: 'f', labels: {}, priority: 0, timeoutMs: 0 }
      const payload = { data: new TextEncoder().encode('1'), contentType: '' }
      const pipeline = { name: 'p', stages: [{ name: 's', task, payload, dependsOn: [] }], continueOnFailure: false, timeoutMs: 0 }
      const seq = await t.store.pipelines.create(t.scope, pipeline, '', t.clock.now())
      await t.store.pipelines.cancel(t.scope, seq, 'enough', t.clock.now())
      const [delivery, ...others] = await sent(t)
      expect(others).toEqual([])
      expect(delivery).toMatchObject({ seq, event: 32 })
      expect(JSON.parse(delivery!.data)).toMatchObject({ name: 'p', stages: 1, reason: 'enough' })
    },
  },
  {
    name: 'hands out what is due once, and again when nothing is heard of it',
    async run(t) {
      await create(t)
      await t.enqueue({}, {}, {})
      for (let i = 0; i < 3; i++) await failNext(t)
      const [head] = await t.store.webhooks.heads(10)
      expect(head).toMatchObject({ scope: t.scope, first: t.clock.now(), webhook: { name: 'hook' } })
      const taken = (await Promise.all([take(t, 2), take(t, 2)])).flat()
      // Those who ask at once may pass by what the other has in hand.
      if (taken.length < 3) taken.push(...(await take(t)))
      expect(new Set(taken.map(({ seq }) => seq)).size).toBe(3)
      expect(taken.every(({ attempts }) => attempts === 1)).toBe(true)
      const [first] = taken
      const outcome = { name: first!, state: DeliveryState.delivered, attempts: 1, code: 200, answer: 'ok', error: '', now: t.clock.now() }
      await t.store.webhooks.finish(t.scope, 'hook', outcome)
      await t.store.webhooks.giveBack(t.scope, 'hook', taken.slice(1), t.clock.now())
      expect((await take(t)).map(({ attempts }) => attempts)).toEqual([1, 1])
      await t.clock.advance(60_000)
      const again = await take(t)
      expect(again.map(({ attempts }) => attempts)).toEqual([2, 2])
      await t.store.webhooks.finish(t.scope, 'hook', { ...outcome, name: again[0]!, state: DeliveryState.failed })
      const states = (await sent(t)).map(({ state }) => state).sort()
      expect(states).toEqual([DeliveryState.pending, DeliveryState.pending, DeliveryState.delivered])
    },
  },
  {
    name: 'delivers again, rotates secrets, notes failing, switches off and forgets',
    async run(t) {
      const { webhooks } = t.store
      expect([await create(t), await create(t)]).toEqual([true, false])
      const name = { seq: 5, revision: 1 }
      await webhooks.add(t.scope, 'hook', { ...name, event: 128, data: '{}' }, t.clock.now())
      await take(t)
      await webhooks.finish(t.scope, 'hook', {
        name,
        state: DeliveryState.failed,
        attempts: 1,
        code: 0,
        answer: '',
        error: 'no',
        now: t.clock.now(),
      })
      expect(await webhooks.heads(10)).toEqual([])
      expect(await webhooks.redeliver(t.scope, 'hook', name, t.clock.now())).toBe(true)
      expect(await webhooks.redeliver(t.otherTenant, 'hook', name, t.clock.now())).toBe(false)
      expect((await take(t)).map(({ attempts }) => attempts)).toEqual([1])
      await webhooks.rotate(t.scope, 'hook', new Uint8Array([4]), 77)
      expect(await webhooks.failing(t.scope, 'hook', 10)).toBe(10)
      expect(await webhooks.failing(t.scope, 'hook', 20)).toBe(10)
      await webhooks.update(t.scope, 'hook', { enabled: { on: false, why: 'gone' } }, t.clock.now())
      const found = await webhooks.get(t.scope, 'hook')
      expect(found).toMatchObject({ oldUntil: 77, failingSince: 10, disabledAt: t.clock.now(), disabledWhy: 'gone', url: hook().url })
      expect([[...found!.secret], [...found!.oldSecret!]]).toEqual([[4], [1, 2, 3]])
      expect(await webhooks.heads(10)).toEqual([])
      await webhooks.update(t.scope, 'hook', { url: 'http://other', enabled: { on: true, why: '' } }, t.clock.now())
      const on = await webhooks.get(t.scope, 'hook')
      expect([on?.url, on?.disabledAt, on?.disabledWhy, on?.failingSince]).toEqual(['http://other', undefined, '', undefined])
      expect(await webhooks.sweep(t.clock.now(), 10)).toBe(0)
      expect(await webhooks.sweep(t.clock.now() + 1, 10)).toBe(1)
      expect((await webhooks.list(t.scope, { limit: 10, after: '' })).map((each) => each.name)).toEqual(['hook'])
      expect([await webhooks.delete(t.scope, 'hook'), await webhooks.delete(t.scope, 'hook')]).toEqual([true, false])
      expect(await webhooks.get(t.scope, 'hook')).toBeUndefined()
    },
  },
]
