const hour = 3_600_000
const formats = new Map<string, Intl.DateTimeFormat>()

/** Zones whose clocks change, north and south, by an hour and by half of one, at midnight and at night. */
export const zones = [
  'Europe/Berlin',
  'Europe/London',
  'America/New_York',
  'America/Los_Angeles',
  'America/St_Johns',
  'America/Havana',
  'America/Santiago',
  'Australia/Sydney',
  'Australia/Lord_Howe',
  'Pacific/Auckland',
] as const

/** What a zone's clock is ahead of UTC at a time, in milliseconds. */
function offsetAt(time: number, timezone: string): number {
  let format = formats.get(timezone)
  if (!format) {
    const parts = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const
    format = new Intl.DateTimeFormat('en-US', { timeZone: timezone, hourCycle: 'h23', ...parts })
    formats.set(timezone, format)
  }
  const parts = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)])) as Record<string, number>
  return Date.UTC(parts.year!, parts.month! - 1, parts.day!, parts.hour!, parts.minute!, parts.second!) - Math.floor(time / 1000) * 1000
}

/** The clock on the wall. @param offsetFrom - takes the zone's offset as of another time: shows clock times that there are not. */
export function wall(time: number, timezone: string, offsetFrom = time): { date: string; hour: number; minute: number } {
  const local = new Date(time + offsetAt(offsetFrom, timezone))
  return { date: local.toISOString().slice(0, 10), hour: local.getUTCHours(), minute: local.getUTCMinutes() }
}

/** The moments from 2024 to 2030 at which a zone's clock changes. */
export function changesOf(timezone: string): number[] {
  const changes: number[] = []
  let before = offsetAt(Date.UTC(2024, 0), timezone)
  for (let time = Date.UTC(2024, 0); time < Date.UTC(2031, 0); time += 24 * hour) {
    const after = offsetAt(time, timezone)
    if (after === before) continue
    let [low, high] = [time - 24 * hour, time]
    while (high - low > 60_000) {
      const middle = Math.floor((low + high) / 120_000) * 60_000
      if (offsetAt(middle, timezone) === before) low = middle
      else high = middle
    }
    changes.push(high)
    before = after
  }
  return changes
}

/** Every so many minutes from one time to another. */
export function minutesOf(from: number, until: number, step: number): number[] {
  return Array.from({ length: Math.floor((until - from) / (step * 60_000)) + 1 }, (_, i) => from + i * step * 60_000)
}
