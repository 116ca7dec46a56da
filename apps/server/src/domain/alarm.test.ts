import { describe, expect, it } from 'vitest'
import { ManualClock } from '../testing/manual-clock.ts'
import { Alarm } from './alarm.ts'

/** An alarm whose work ends when it is told to. */
function setUp() {
  const clock = new ManualClock()
  const runs: { readonly closing: AbortSignal; end(next: number | undefined): void }[] = []
  const alarm = new Alarm({
    clock,
    run: (closing) => new Promise((resolve) => runs.push({ closing, end: resolve })),
    onError: () => undefined,
  })
  return { clock, runs, alarm }
}

describe('an alarm', () => {
  it('works again when something became due after the work under way had looked', async () => {
    const { clock, runs, alarm } = setUp()
    alarm.dueAt(clock.now())
    await clock.advance(0)
    alarm.dueAt(clock.now() + 10)
    await clock.advance(20)
    expect(runs).toHaveLength(1)
    // It has looked before: it knows of nothing that is due.
    runs[0]!.end(undefined)
    await clock.advance(0)
    expect(runs).toHaveLength(2)
    runs[1]!.end(undefined)
    await clock.advance(10_000)
    expect(runs).toHaveLength(2)
  })

  it('is closed when the work under way has ended, which hears of it', async () => {
    const { clock, runs, alarm } = setUp()
    alarm.dueAt(clock.now())
    await clock.advance(0)
    alarm.dueAt(clock.now() + 10)
    await clock.advance(20)
    let closed = false
    const closing = alarm.close().then(() => {
      closed = true
    })
    await clock.advance(0)
    expect([closed, runs[0]!.closing.aborted]).toEqual([false, true])
    runs[0]!.end(clock.now())
    await closing
    await clock.advance(10_000)
    expect(runs).toHaveLength(1)
  })
})
