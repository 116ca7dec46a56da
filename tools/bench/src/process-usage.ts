import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** What a process has used so far, all its threads together. */
export interface ProcessUsage {
  /** Seconds of CPU, user and system. */
  readonly cpu: number
  /** Resident memory, bytes. */
  readonly rss: number
  /** Its highest value so far, bytes. */
  readonly peakRss: number
}

const ticksPerSecond = 100 // USER_HZ: what /proc counts in, on every Linux

/** Seconds of CPU that the whole machine has used so far, and that its host has withheld. */
export function machineCpu(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = readFileSync('/proc/stat', 'latin1')
    .split(/\s+/, 9)
    .map(Number)
  return (user + nice + system + irq + softIrq + steal) / ticksPerSecond
}

/** Seconds of CPU of a process and all that it started, those that have ended included. */
export function treeCpu(pid: number): number {
  // Not `/proc/PID/task/PID/children`, which leaves some out while others end.
  const parents = new Map<number, number>()
  const used = new Map<number, number>()
  for (const each of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    try {
      const fields = statOf(each)
      parents.set(each, Number(fields[1]))
      used.set(each, cpuOf(fields))
    } catch {
      // It has ended, and its parent counts for it.
    }
  }
  let sum = cpuOf(statOf(pid))
  for (const [each, seconds] of used) {
    for (let at = parents.get(each); at; at = parents.get(at)) if (at === pid) sum += seconds
  }
  return sum
}

/** Its own, and that of its children that have ended. */
function cpuOf(stat: readonly string[]): number {
  return [11, 12, 13, 14].reduce((sum, field) => sum + Number(stat[field]), 0) / ticksPerSecond
}

/** Reads `/proc`; so this bench runs on Linux only. */
export function processUsage(pid: number): ProcessUsage {
  const fields = statOf(pid)
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN)
  return { cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, rss: kib('VmRSS') * 1024, peakRss: kib('VmHWM') * 1024 }
}

/** Has the highest value of a process's memory count from now on. */
export function forgetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The second field is the program's name in brackets, and may contain anything; count from behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
