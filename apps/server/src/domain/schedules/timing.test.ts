import { describe, expect, it } from 'vitest'
import { changesOf, minutesOf, wall, zones } from './test-zones.ts'
import { checkCron, dueAt, Timing } from './timing.ts'

const minute = 60_000
const day = 86_400_000
const base = { from: 0, timezone: 'UTC' }

function ticks(timing: Timing, after: number, until: number): number[] {
  const found: number[] = []
  for (let next = timing.next(after); next !== undefined && next <= until; next = timing.next(next)) found.push(next)
  return found
}

describe.each(zones)('in %s, at every change of its clock from 2024 to 2030', (timezone) => {
  const changes = changesOf(timezone)

  it('a time of day comes once a day', () => {
    for (const at of changes) {
      // The wall clock just before and after the change, and in what it leaves out or repeats.
      for (const probe of [at - 45 * minute, at - 15 * minute, at, at + 15 * minute, at + 45 * minute]) {
        for (const offsetFrom of [at - day, at + day]) {
          const { hour, minute: past } = wall(probe, timezone, offsetFrom)
          const timing = new Timing({ ...base, cron: `${past} ${hour} * * *`, timezone })
          const found = ticks(timing, at - 3 * day - 12 * 3_600_000, at + 3 * day)
          const dates = found.map((tick) => wall(tick, timezone).date)
          const every = minutesOf(found[0]!, found.at(-1)!, 60).map((tick) => wall(tick, timezone).date)
          expect(dates, `${past} ${hour} around ${new Date(at).toISOString()}`).toEqual([...new Set([...every, ...dates])].sort())
          expect(found.length).toBeGreaterThanOrEqual(6)
        }
      }
    }
  })

  it('every quarter of an hour on the wall comes', () => {
    const timing = new Timing({ ...base, cron: '*/15 * * * *', timezone })
    for (const at of changes) {
      const expected = minutesOf(at - day, at + day, 1).filter((tick) => wall(tick, timezone).minute % 15 === 0)
      expect(ticks(timing, at - day - 1, at + day)).toEqual(expected)
      expect(timing.latest(50, at + day)).toEqual(expected.slice(-50))
    }
  })

  it('intervals take no notice', () => {
    for (const at of changes) {
      const timing = new Timing({ ...base, everyMs: 20 * minute, from: at - day, timezone })
      expect(ticks(timing, at - day, at + day)).toEqual(Array.from({ length: 144 }, (_, i) => at - day + (i + 1) * 20 * minute))
    }
  })
})

it('the zones have changes to test', () => {
  expect(zones.map((zone) => changesOf(zone).length)).toEqual([14, 14, 14, 14, 14, 14, 14, 14, 14, 14])
})

it('29 February comes in leap years alone', () => {
  const timing = new Timing({ ...base, cron: '0 0 12 29 2 *' })
  expect(ticks(timing, Date.UTC(2023, 0), Date.UTC(2033, 0)).map((tick) => new Date(tick).toISOString())).toEqual(
    [2024, 2028, 2032].map((year) => `${year}-02-29T12:00:00.000Z`),
  )
})

it('a single time comes once, also when it is past', () => {
  const timing = new Timing({ ...base, at: 500 })
  expect([timing.first(900), timing.next(499), timing.next(500)]).toEqual([500, 500, undefined])
  expect([timing.latest(3, 500), timing.latest(3, 499), timing.latest(0, 900)]).toEqual([[500], [], []])
})

it('the latest ticks are those that come next, whatever the time', () => {
  for (const times of [{ cron: '*/7 * * * * *' }, { cron: '0 3 * * 1' }, { everyMs: 1000 }, { everyMs: 90_001 }]) {
    const timing = new Timing({ ...base, ...times })
    for (const until of [Date.UTC(2025, 5, 1), Date.UTC(2025, 5, 1) + 1, Date.UTC(2025, 5, 1) - 1]) {
      const latest = timing.latest(4, until)
      expect(latest).toHaveLength(4)
      expect(ticks(timing, latest[0]! - 1, until)).toEqual(latest)
    }
  }
})

it('says what is wrong with a pattern', () => {
  expect(checkCron('*/5 * * * *', 'Europe/Berlin')).toBeUndefined()
  expect(checkCron('0 30 4 * * MON-FRI', 'UTC')).toBeUndefined()
  expect(checkCron('* * * *', 'UTC')?.message).toContain('has 4 fields')
  expect(checkCron('@reboot', 'UTC')?.field).toBe('cron')
  expect(checkCron('61 * * * *', 'UTC')?.message).toContain('61')
  expect(checkCron('0 0 32 * *', 'UTC')?.message).toBe('Invalid value for day: 32')
  expect(checkCron('0 0 40W * *', 'UTC')?.message).toContain(': 40')
  expect(checkCron('0 0 1 0 *', 'UTC')?.message).toBe('Invalid value for month: 0')
  expect(checkCron('0 0 * * 8', 'UTC')?.message).toBe('Invalid value for dayOfWeek: 8')
  expect(checkCron('0 0 31 2 *', 'UTC')?.message).toBe('never comes')
  expect(checkCron('* * * * *', 'Mars/Olympus')?.field).toBe('timezone')
  expect(checkCron('* * * * *', '+02:00')?.field).toBe('timezone')
})

it('the jitter of a tick is the same everywhere, and spread', () => {
  const name = { tenant: 1, namespace: 'n', name: 's' }
  const spread = Array.from({ length: 200 }, (_, i) => dueAt(name, i * minute, 1000) - i * minute)
  expect(spread).toEqual(Array.from({ length: 200 }, (_, i) => dueAt(name, i * minute, 1000) - i * minute))
  expect(Math.min(...spread)).toBeLessThan(100)
  expect(Math.max(...spread)).toBeGreaterThan(900)
  expect(Math.max(...spread)).toBeLessThanOrEqual(1000)
  expect(dueAt(name, 77, 0)).toBe(77)
})
