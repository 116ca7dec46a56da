import { expect, test } from 'vitest'
import { ManualClock } from '../testing/manual-clock.ts'
import { watchHeartbeat } from './heartbeat.ts'

const keepalive = { intervalMs: 15_000, timeoutMs: 10_000 }

function setUp(options?: false) {
  const clock = new ManualClock()
  const silences: number[] = []
  return { clock, silences, heartbeat: watchHeartbeat(clock, options === false ? undefined : keepalive, (ms) => silences.push(ms)) }
}

test('a stream that is heard of in time lives', () => {
  const { clock, silences, heartbeat } = setUp()
  for (let i = 0; i < 100; i++) {
    clock.advance(24_000)
    heartbeat.alive()
  }
  expect(silences).toEqual([])
})

test('a silent one counts as dead, once', () => {
  const { clock, silences, heartbeat } = setUp()
  clock.advance(10_000)
  heartbeat.alive()
  clock.advance(24_999)
  expect(silences).toEqual([])
  clock.advance(1)
  expect(silences).toEqual([25_000])
  clock.advance(100_000)
  expect(silences).toHaveLength(1)
})

test('after a sleep, what came meanwhile has time to be read', () => {
  const { clock, silences, heartbeat } = setUp()
  clock.sleep(3_600_000)
  clock.advance(1000)
  heartbeat.alive()
  clock.advance(20_000)
  expect(silences).toEqual([])
  clock.sleep(3_600_000)
  clock.advance(2000)
  expect(silences).toHaveLength(1)
})

test('one that is stopped, or never may be silent too long, leaves no timer', () => {
  const { clock, heartbeat } = setUp()
  heartbeat.stop()
  expect(clock.pending).toBe(0)
  expect(setUp(false).clock.pending).toBe(0)
})
