import { beforeEach, describe, expect, it } from 'vitest'
import { JobState } from '../../store/ports.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { type LiveView, LiveViews } from './live-views.ts'

let clock: ManualClock
let views: LiveViews
let value: number
let reads: number
const here = { tenant: 1, namespace: 'n' }
const change = { seq: 1, state: JobState.running, cause: 'other' } as const

beforeEach(() => {
  clock = new ManualClock()
  views = new LiveViews(clock)
  value = 0
  reads = 0
})

function view(options: Partial<LiveView<number>> = {}): LiveView<number> {
  return {
    ...here,
    key: 'k',
    queue: 'q',
    async read() {
      reads++
      return value
    },
    same: (a, b) => a === b,
    ...options,
  }
}

/** Looks at a view and writes down what it shows. */
function look(what = view()) {
  const shown: unknown[] = []
  const stop = views.watch(what, { show: (now) => shown.push(now), fail: (error) => shown.push(error) })
  return { shown, stop }
}

describe('a live view', () => {
  it('shows what is, then what changed, and nothing when nothing did', async () => {
    const { shown } = look()
    await clock.advance(0)
    value = 1
    views.touched(here, 'q')
    await clock.advance(300)
    views.touched(here, 'q')
    await clock.advance(300)
    expect(shown).toEqual([0, 1])
    expect(reads).toBe(3)
  })

  it('is read once for all who look, and at most five times a second', async () => {
    const all = Array.from({ length: 100 }, () => look().shown)
    for (let ms = 0; ms < 1000; ms += 10) {
      value++
      views.touched(here, 'q')
      views.changed([{ ...change, tenant: 1 }])
      await clock.advance(10)
    }
    expect(reads).toBeLessThanOrEqual(6)
    expect(reads).toBeGreaterThanOrEqual(4)
    await clock.advance(200)
    expect(all.map((shown) => shown.at(-1))).toEqual(all.map(() => 100))
  })

  it('is not read for what happens elsewhere', async () => {
    look()
    look(view({ key: 'all queues', queue: undefined }))
    await clock.advance(0)
    views.touched({ tenant: 2, namespace: 'n' }, 'q')
    views.touched({ tenant: 1, namespace: 'other' }, 'q')
    views.changed([{ ...change, tenant: 2 }])
    await clock.advance(1000)
    expect(reads).toBe(2)
    views.touched(here, 'another')
    await clock.advance(1000)
    expect(reads).toBe(3)
    views.changed([{ ...change, tenant: 1 }])
    await clock.advance(1000)
    expect(reads).toBe(5)
  })

  it('does not miss a change that comes while it is read', async () => {
    let release = (_: number): void => undefined
    const slow = view({ read: () => new Promise<number>((resolve) => (release = resolve)) })
    const { shown } = look(slow)
    await clock.advance(0)
    views.touched(here, 'q')
    await clock.advance(50)
    release(1)
    await clock.advance(300)
    release(2)
    await clock.advance(0)
    expect(shown).toEqual([1, 2])
  })

  it('shows the latest to who comes later, without another read', async () => {
    look()
    await clock.advance(0)
    expect(look().shown).toEqual([0])
    expect(reads).toBe(1)
  })

  it('is forgotten when nobody looks any more', async () => {
    const { stop } = look()
    const other = look()
    await clock.advance(0)
    stop()
    other.stop()
    value = 5
    views.touched(here, 'q')
    await clock.advance(1000)
    expect(reads).toBe(1)
    expect(look().shown).toEqual([])
    await clock.advance(0)
    expect(reads).toBe(2)
  })

  it('looks again by itself when what it shows sends no event', async () => {
    const { shown, stop } = look(view({ refreshMs: 5000 }))
    await clock.advance(0)
    value = 7
    await clock.advance(5000)
    expect(shown).toEqual([0, 7])
    stop()
    await clock.advance(20_000)
    expect(reads).toBe(2)
  })

  it('tells all who look when it cannot be read, and begins anew for the next', async () => {
    const error = new Error('no')
    const broken = view({ read: () => Promise.reject(error) })
    const both = [look(broken), look(broken)]
    await clock.advance(0)
    expect(both.map(({ shown }) => shown)).toEqual([[error], [error]])
    expect(look().shown).toEqual([])
    await clock.advance(0)
    expect(reads).toBe(1)
  })
})
