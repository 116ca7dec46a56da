import { expect, it, onTestFinished } from 'vitest'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import type { StreamStorage } from '../../store/stream-port.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import { createStreamEngine } from './engine.ts'

it('a member that leaves while its sign of life is under way is gone, and does not come again', async () => {
  const clock = new ManualClock()
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now: clock.now }
  const store = await openSqliteStore({ path: ':memory:', ...options })
  let arrives = Promise.resolve()
  const streams = lateSigns(store.streams, () => arrives)
  const engine = createStreamEngine({ streams, clock, onError: (error) => expect(error).toBeUndefined() })
  onTestFinished(async () => {
    await engine.close()
    await store.close()
  })
  const scope = { tenant: await store.keys.tenant('t', 0), namespace: 'n' }
  await engine.put(scope, 'orders', { partitions: 2 })
  const member = await engine.join(scope, 'orders', 'g', () => undefined)
  const other = await engine.join(scope, 'orders', 'g', () => undefined)
  expect(await member.partitions()).toEqual([0])

  const late = Promise.withResolvers<void>()
  arrives = late.promise
  await clock.advance(3000)
  const left = member.close()
  await clock.advance(0)
  late.resolve()
  await left
  await clock.advance(0)
  expect([await member.partitions(), await other.partitions()]).toEqual([[], [0, 1]])
})

/** Streams whose storage carries out signs of life late. */
function lateSigns(streams: StreamStorage, arrives: () => Promise<void>): StreamStorage {
  return new Proxy(streams, {
    get(target, name) {
      if (name === 'join') {
        return async (...sign: Parameters<StreamStorage['join']>) => {
          await arrives()
          return target.join(...sign)
        }
      }
      const value = Reflect.get(target, name) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
