import { expect, it } from 'vitest'
import { openPostgresStore } from '../../store/postgres/open.ts'
import { openTestServer } from '../../store/postgres/test-database.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import { SchemaRegistry } from './registry.ts'

const postgres = await openTestServer()
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

it('servers over one Postgres check what another one attached, registered and detached', { timeout: 60_000 }, async ({ skip }) => {
  if (postgres.missing) skip(postgres.missing)
  const database = await postgres.create()
  const clock = new ManualClock()
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now: clock.now, url: database.url }
  const open = async () => {
    const store = await openPostgresStore(options)
    return { store, registry: new SchemaRegistry({ store: store.schemas, clock }) }
  }
  const [one, two] = [await open(), await open()]
  const scope = { tenant: await one.store.keys.tenant('t', 0), namespace: 'n' }
  /** What the second server finds wrong with a payload. */
  const found = async (payload: unknown) => {
    const guard = await two.registry.guard(scope, 'stream', 'orders')
    return guard?.problems(json(payload), '').map(({ path, message }) => `${path} ${message}`)
  }
  const soon = (payload: unknown) => expect.poll(() => found(payload), { timeout: 20_000, interval: 5 })

  // From now on it knows that nothing is attached.
  expect(await found(1)).toBeUndefined()
  await one.registry.register(scope, 'order', json({ type: 'object' }), undefined)
  await one.registry.attach(scope, { kind: 'stream', name: 'orders' }, 'order', 0)
  await soon(1).toEqual(["payload is not object (schema 'order', version 1)"])
  await one.registry.register(scope, 'order', json({ type: 'string' }), 'none')
  await soon(1).toEqual(["payload is not string (schema 'order', version 2)"])
  await one.registry.detach(scope, { kind: 'stream', name: 'orders' })
  await soon(1).toBeUndefined()
  for (const { store } of [one, two]) await store.close()
})
