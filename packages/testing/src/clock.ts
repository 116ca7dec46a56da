import type { Duration } from '@millrace/client'
import { toMs } from '@millrace/core/adapter'
import type { Clock } from '@millrace/server'

interface Timer {
  readonly ms: number
  readonly at: number
  readonly fn: () => void
  handle?: NodeJS.Timeout
}

/** Turns of the event loop in which the store commits, and in which a job gets to its worker and back. */
const commitTurns = 12
const deliveryTurns = 60
/** Longest delay that `setTimeout` takes. */
const longestTimeout = 2 ** 31 - 1

/**
 * The clock of a test server: it runs as time does and can be moved forward. Retries, delays, ends of leases, schedules and
 * retention follow it; clients and handlers live in real time.
 */
export class TestClock implements Clock {
  readonly #timers = new Set<Timer>()
  #offset: number
  /** Timers set since one was fired. */
  #set: Timer[] = []

  /** @param start - what it shows at first. Default: now. */
  constructor(start: Date = new Date()) {
    this.#offset = start.getTime() - Date.now()
  }

  /** Milliseconds since 1970. */
  now = (): number => Date.now() + this.#offset

  /** Calls `fn` once, `ms` from now. Returns what cancels it. */
  timer(ms: number, fn: () => void): () => void {
    const timer: Timer = { ms, at: this.now() + Math.max(ms, 0), fn }
    this.#timers.add(timer)
    this.#set.push(timer)
    this.#arm(timer)
    return () => this.#drop(timer)
  }

  /**
   * Moves the time. Whatever falls due on the way happens in its order, and what it sets off may finish before the next,
   * as long as that waits for nothing outside this process.
   *
   * @param by - how far: milliseconds, or text such as `'1h'`.
   * @throws ValidationError when that is not a duration.
   */
  advance(by: Duration): Promise<void> {
    return this.advanceTo(new Date(this.now() + toMs('by', by)))
  }

  /** Moves the time to a date, as {@link TestClock.advance} does; never back. */
  async advanceTo(date: Date): Promise<void> {
    await this.settled()
    for (;;) {
      const step = await this.step(date)
      if (step === 'nothing') break
      if (step === 'work') await this.settled()
    }
    this.#moveTo(date.getTime())
    for (const timer of this.#timers) this.#arm(timer)
    await this.settled()
  }

  /** Lets finish what is under way in this process. */
  settled(): Promise<void> {
    return turns(deliveryTurns)
  }

  /**
   * Moves the time to the next timer until a date.
   *
   * @internal
   * @returns whether there was none, one that led to nothing but its own next time, or one that set off work.
   */
  async step(until: Date): Promise<'nothing' | 'routine' | 'work'> {
    const next = this.#next()
    if (!next || next.at > until.getTime()) return 'nothing'
    this.#drop(next)
    this.#moveTo(next.at)
    this.#set = []
    next.fn()
    await turns(commitTurns)
    return this.#set.every(({ ms }) => ms === next.ms) ? 'routine' : 'work'
  }

  #moveTo(time: number): void {
    this.#offset = Math.max(this.#offset, time - Date.now())
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) if (!next || timer.at < next.at) next = timer
    return next
  }

  #arm(timer: Timer): void {
    clearTimeout(timer.handle)
    const left = Math.min(Math.max(timer.at - this.now(), 0), longestTimeout)
    timer.handle = setTimeout(() => {
      this.#drop(timer)
      timer.fn()
    }, left)
    timer.handle.unref()
  }

  #drop(timer: Timer): void {
    clearTimeout(timer.handle)
    this.#timers.delete(timer)
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
