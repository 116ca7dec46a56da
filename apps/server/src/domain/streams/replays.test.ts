import { expect, it, onTestFinished } from 'vitest'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import { createStreamEngine } from './engine.ts'
import { Replays } from './replays.ts'

/** An engine over a store of its own, on a clock that stands still. */
async function startStreams() {
  const clock = new ManualClock()
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now: clock.now }
  const store = await openSqliteStore({ path: ':memory:', ...options })
  const engine = createStreamEngine({ streams: store.streams, clock, onError: (error) => expect(error).toBeUndefined() })
  onTestFinished(async () => {
    await engine.close()
    await store.close()
  })
  const replays = new Replays({ engine, streams: store.streams, replays: store.replays, clock })
  return { clock, engine, replays, scope: { tenant: await store.keys.tenant('t', 0), namespace: 'n' } }
}

const message = { payload: Uint8Array.of(1), contentType: '', headers: {}, key: '' }

it('at original speed, a message is due as much later than the first as it was written, pauses left out', async () => {
  const { clock, engine, replays, scope } = await startStreams()
  for (const wait of [1000, 500, 0]) {
    await engine.write({ scope, stream: 'orders', batches: [{ messages: [message] }], requestId: '' })
    await clock.advance(wait)
  }
  await replays.create(scope, 'orders', 'g', { from: undefined, to: 2, originalSpeed: true })
  const reading = await engine.read(scope, 'orders', 0, { offset: 0, maxMessages: 10, maxBytes: 1000 })
  /** Where delivery stands, and whether something waits for its time. */
  const due = async () => {
    const { next, waitsFor } = replays.due(await replays.find(scope, 'orders', 'g'), 0, reading)
    return [next, waitsFor !== undefined]
  }
  await replays.change(scope, 'orders', 'g', 'running')
  await clock.advance(400)
  expect(await due()).toEqual([1, true])
  await replays.change(scope, 'orders', 'g', 'paused')
  await clock.advance(10_000)
  expect(await due()).toEqual([1, true])
  await replays.change(scope, 'orders', 'g', 'running')
  let rung = false
  replays.whenDue(await replays.find(scope, 'orders', 'g'), reading.slices[1]!.timestamp, () => {
    rung = true
  })
  await clock.advance(599)
  expect([rung, ...(await due())]).toEqual([false, 1, true])
  await clock.advance(1)
  // The third one is after the range.
  expect([rung, ...(await due())]).toEqual([true, 2, false])
})

it('what retention drops of a range, before or while it is replayed, is neither waited for nor counted', async () => {
  const { clock, engine, replays, scope } = await startStreams()
  await engine.put(scope, 'orders', { retention: { maxAgeMs: 70_000, maxBytes: 0 } })
  for (let i = 0; i < 4; i++) {
    await engine.write({ scope, stream: 'orders', batches: [{ messages: [message, message] }], requestId: '' })
    await clock.advance(20_000)
  }
  // The first two are 80 seconds old by now, and gone.
  await replays.create(scope, 'orders', 'g', { from: 0, to: undefined, originalSpeed: false })
  expect(await replays.get(scope, 'orders', 'g')).toMatchObject({ ranges: [[2, 8]], total: 6, processed: 0 })
  await replays.change(scope, 'orders', 'g', 'running')
  await engine.commit(scope, 'orders', [{ partition: 0, group: 'g', offset: 2 }])
  expect(await replays.get(scope, 'orders', 'g')).toMatchObject({ total: 6, processed: 1 })

  await clock.advance(10_000)
  const half = await replays.get(scope, 'orders', 'g')
  expect(half).toMatchObject({ total: 4, processed: 0 })
  const reading = await engine.read(scope, 'orders', 0, { offset: 3, maxMessages: 10, maxBytes: 1000 })
  const { slices, next } = replays.due(half, 0, reading)
  expect([slices[0]!.firstOffset, next]).toEqual([4, 8])

  // All of it goes; what is written later is not of the range.
  await clock.advance(60_000)
  await engine.write({ scope, stream: 'orders', batches: [{ messages: [message] }], requestId: '' })
  const late = await engine.read(scope, 'orders', 0, { offset: 3, maxMessages: 10, maxBytes: 1000 })
  const gone = await replays.get(scope, 'orders', 'g')
  expect(gone).toMatchObject({ total: 0, processed: 0 })
  expect(replays.due(gone, 0, late)).toMatchObject({ slices: [], next: 8 })
})
