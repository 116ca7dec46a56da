import { createHash } from 'node:crypto'
import { Cron } from 'croner'
import type { ScheduleName, ScheduleSpec } from '../../store/schedule-port.ts'

/** When a schedule is due. */
export type Times = Pick<ScheduleSpec, 'cron' | 'everyMs' | 'at' | 'from' | 'timezone'>

/**
 * The ticks of a schedule.
 *
 * A cron time that daylight saving leaves out is due at the first moment after the gap, one that comes twice is due the first
 * time; patterns with wildcards, steps, lists or ranges in their time of day follow the clock on the wall through both.
 */
export class Timing {
  readonly #times: Times
  readonly #cron: Cron | undefined

  constructor(times: Times) {
    this.#times = times
    this.#cron = times.cron === undefined ? undefined : new Cron(times.cron, { timezone: times.timezone, paused: true })
  }

  /** The first tick of a schedule that is made or resumed now. */
  first(now: number): number | undefined {
    return this.#times.at ?? this.next(now)
  }

  /** The first tick after a time; undefined when there is none. */
  next(after: number): number | undefined {
    const { everyMs, at, from } = this.#times
    if (this.#cron) return this.#cron.nextRun(new Date(after))?.getTime()
    if (everyMs !== undefined) return from + Math.max(Math.floor((after - from) / everyMs) + 1, 1) * everyMs
    return at !== undefined && at > after ? at : undefined
  }

  /** The latest ticks at or before a time, oldest first. What it costs does not depend on how many there were before. */
  latest(count: number, until: number): readonly number[] {
    const { everyMs, at, from } = this.#times
    if (count === 0) return []
    if (this.#cron) {
      // Ticks are whole seconds, and those before a time are asked for.
      const before = new Date((Math.floor(until / 1000) + 1) * 1000)
      return this.#cron
        .previousRuns(count, before)
        .map((run) => run.getTime())
        .reverse()
    }
    if (everyMs === undefined) return at !== undefined && at <= until ? [at] : []
    const last = Math.floor((until - from) / everyMs)
    const first = Math.max(last - count + 1, 1)
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => from + (first + i) * everyMs)
  }
}

/** What is wrong with a cron pattern or its time zone; undefined when nothing is. */
export function checkCron(cron: string, timezone: string): { readonly field: 'cron' | 'timezone'; readonly message: string } | undefined {
  try {
    if (!/^[A-Za-z]/.test(timezone)) throw new RangeError()
    new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch {
    return { field: 'timezone', message: `${JSON.stringify(timezone)} is not an IANA time zone such as Europe/Berlin` }
  }
  const fields = cron.trim().split(/\s+/).length
  if (fields !== 5 && fields !== 6) {
    return { field: 'cron', message: `has ${fields} fields; give five (minute hour day month weekday) or six (second first)` }
  }
  try {
    if (new Cron(cron, { timezone, paused: true }).nextRun()) return undefined
  } catch (error) {
    return { field: 'cron', message: messageOf(error as Error) }
  }
  return { field: 'cron', message: 'never comes' }
}

/** What the parser says. It counts days and months from 0 and tells them so: 32 as 31. */
function messageOf({ message }: Error): string {
  return message
    .replace(/^CronPattern: /, '')
    .replace(/(day|month|nearestWeekdays): (-?\d+)$/, (_, part: string, value: string) => `${part}: ${Number(value) + 1}`)
}

/** When a tick is submitted: the same on every server. */
export function dueAt({ tenant, namespace, name }: ScheduleName, tick: number, jitterMs: number): number {
  if (jitterMs === 0) return tick
  const hash = createHash('sha256').update(`${tenant} ${namespace} ${name} ${tick}`).digest()
  return tick + Math.floor((hash.readUInt32BE() / 2 ** 32) * (jitterMs + 1))
}
