import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import type { JobChange, NewJob } from '../../store/ports.ts'
import { openPostgresStore } from '../../store/postgres/open.ts'
import { openTestServer } from '../../store/postgres/test-database.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import { WebhookEngine } from './engine.ts'
import { Sender } from './sender.ts'

const postgres = await openTestServer()

it('servers over one Postgres send each delivery once; those of one that dies are sent by another', { timeout: 120_000 }, async ({
  skip,
}) => {
  if (postgres.missing) skip(postgres.missing)
  const database = await postgres.create()
  const clock = new ManualClock()
  /** How often each delivery came; while it hangs, none is answered. */
  const came = new Map<string, number>()
  let hang = false
  const receiver = createServer((request, response) => {
    const id = String(request.headers['webhook-id'])
    came.set(id, (came.get(id) ?? 0) + 1)
    if (!hang) request.on('end', () => response.end()).resume()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    receiver.closeAllConnections()
    receiver.close()
  })
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`

  const errors: unknown[] = []
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now: clock.now, url: database.url }
  const open = async () => {
    const store = await openPostgresStore(options)
    const sender = new Sender({ clock, allowPrivate: true })
    const engine = new WebhookEngine({ store: store.webhooks, sender, clock, onError: (error) => errors.push(error) })
    store.listen({ ready() {}, changed: (changes: readonly JobChange[]) => engine.changed(changes) })
    return { store, engine }
  }
  const nodes = [await open(), await open(), await open()] as const
  const [{ store }] = nodes
  const scope = { tenant: await store.keys.tenant('t', 0), namespace: 'n' }
  const secret = nodes[0].engine.newSecret()
  await store.webhooks.create(scope, { name: 'w', url, events: 127, functions: [], queues: [], secret }, clock.now())
  const job: NewJob = {
    queue: 'q',
    function: 'f',
    payload: new Uint8Array(),
    contentType: '',
    headers: {},
    labels: {},
    priority: 0,
    timeoutMs: 0,
    idempotencyKey: '',
  }
  /** Ends so many tasks, at one server and another. */
  const end = async (count: number) => {
    const jobs = Array.from({ length: count }, () => job)
    const { outcomes } = await store.jobs.enqueue({ scope, jobs, requestId: '', partial: false, batch: false, now: clock.now() })
    const seqs = outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : Number.NaN))
    await Promise.all(seqs.map((seq, i) => nodes[i % 2]!.store.jobs.cancel(scope, seq, '', clock.now())))
  }
  const passes = async (done: () => boolean, ms = 50) => {
    const look = async () => {
      await clock.advance(ms)
      return done()
    }
    await expect.poll(look, { timeout: 30_000, interval: 20 }).toBe(true)
  }

  await end(40)
  await passes(() => came.size === 40)
  expect([...came.values()].every((times) => times === 1)).toBe(true)

  // One takes what there is, and dies before it hears of it: the others send that again, when its minute is over.
  came.clear()
  hang = true
  for (const { engine } of nodes.slice(1)) await engine.close()
  await end(5)
  await passes(() => came.size === 5)
  const lost = nodes[0].engine.close()
  hang = false
  const heir = await open()
  await passes(() => [...came.values()].every((times) => times === 2), 10_000)
  await lost
  expect(came.size).toBe(5)

  await heir.engine.close()
  for (const node of [...nodes, heir]) await node.store.close()
  await database.drop()
  expect(errors).toEqual([])
})
