import { readFileSync } from 'node:fs'

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
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number)
  const used = children.map((child) => {
    try {
      return treeCpu(child)
    } catch {
      return 0 // It has ended, and its parent, which is read after it, counts for it.
    }
  })
  const fields = statOf(pid)
  const own = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0) / ticksPerSecond
  return used.reduce((sum, each) => sum + each, own)
}

/** Reads `/proc`; so this bench runs on Linux only. */
export function processUsage(pid: number): ProcessUsage {
  const fields = statOf(pid)
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN)
  return { cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, rss: kib('VmRSS') * 1024, peakRss: kib('VmHWM') * 1024 }
}

function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The second field is the program's name in brackets, and may contain anything; count from behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
