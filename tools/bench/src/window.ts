import { machineCpu, processUsage } from './process-usage.ts'
import { startProfile } from './profile.ts'

/** What the two sides used while the clock ran. */
export interface Window {
  readonly seconds: number
  /** Share of one core, 1 = all of it. */
  readonly serverCpu: number
  readonly clientCpu: number
  /** What everything else on the machine used, the host's share included: noise. */
  readonly otherCpu: number
  /** Bytes, at the end. */
  readonly serverRss: number
  readonly serverPeakRss: number
  readonly clientRss: number
}

/** Runs work against the clock. */
export type Measure = <T>(work: () => Promise<T>) => Promise<T & { readonly window: Window }>

/** Makes a {@link Measure} for a server. With a file, both sides profile the window: this process into the file, the server into its own. */
export function measureAgainst(serverPid: number, profileFile: string | undefined): Measure {
  return async (work) => {
    // The signal switches the server's profiler on and off; see profile-server.ts.
    if (profileFile !== undefined) process.kill(serverPid, 'SIGUSR2')
    const stopProfile = profileFile === undefined ? undefined : await startProfile()
    const before = reading(serverPid)
    const result = await work()
    const after = reading(serverPid)
    if (stopProfile !== undefined) {
      process.kill(serverPid, 'SIGUSR2')
      await stopProfile(profileFile!)
    }
    return { ...result, window: between(before, after) }
  }
}

function reading(serverPid: number) {
  return { time: performance.now(), server: processUsage(serverPid), client: processUsage(process.pid), machine: machineCpu() }
}

function between(before: ReturnType<typeof reading>, after: ReturnType<typeof reading>): Window {
  const seconds = (after.time - before.time) / 1000
  const serverCpu = (after.server.cpu - before.server.cpu) / seconds
  const clientCpu = (after.client.cpu - before.client.cpu) / seconds
  return {
    seconds,
    serverCpu,
    clientCpu,
    otherCpu: Math.max((after.machine - before.machine) / seconds - serverCpu - clientCpu, 0),
    serverRss: after.server.rss,
    serverPeakRss: after.server.peakRss,
    clientRss: after.client.rss,
  }
}
