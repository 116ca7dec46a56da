import { machineCpu, processUsage, treeCpu } from './process-usage.ts'
import { startProfile } from './profile.ts'

/** What the two sides used while the clock ran. */
export interface Window {
  readonly seconds: number
  /** Share of one core, 1 = all of it. */
  readonly serverCpu: number
  readonly clientCpu: number
  /** The Postgres under the servers, or under the clients; absent: there is none. */
  readonly databaseCpu?: number
  /** What everything else on the machine used, the host's share included: noise. */
  readonly otherCpu: number
  /** Bytes, at the end. */
  readonly serverRss: number
  readonly serverPeakRss: number
  readonly clientRss: number
}

/** Runs work against the clock. */
export type Measure = <T>(work: () => Promise<T>) => Promise<T & { readonly window: Window }>

/** The processes beside this one whose use counts. */
export interface Measured {
  /** None where the client works on the database itself. */
  readonly servers: readonly number[]
  readonly database?: number
}

/** Makes a {@link Measure}. With a file, both sides profile the window: this process into the file, the servers into their own. */
export function measureAgainst(measured: Measured, profileFile: string | undefined): Measure {
  // The signal switches a server's profiler on and off; see profile-server.ts.
  const signal = () => {
    for (const pid of measured.servers) process.kill(pid, 'SIGUSR2')
  }
  return async (work) => {
    if (profileFile !== undefined) signal()
    const stopProfile = profileFile === undefined ? undefined : await startProfile()
    const before = reading(measured)
    const result = await work()
    const after = reading(measured)
    if (stopProfile !== undefined) {
      signal()
      await stopProfile(profileFile!)
    }
    return { ...result, window: between(before, after) }
  }
}

function reading({ servers, database }: Measured) {
  return {
    time: performance.now(),
    servers: servers.map(processUsage),
    client: processUsage(process.pid),
    database: database === undefined ? undefined : treeCpu(database),
    machine: machineCpu(),
  }
}

function between(before: ReturnType<typeof reading>, after: ReturnType<typeof reading>): Window {
  const seconds = (after.time - before.time) / 1000
  const serverCpu = (sum(after, 'cpu') - sum(before, 'cpu')) / seconds
  const clientCpu = (after.client.cpu - before.client.cpu) / seconds
  const databaseCpu = after.database === undefined ? undefined : (after.database - before.database!) / seconds
  return {
    seconds,
    serverCpu,
    clientCpu,
    ...(databaseCpu !== undefined && { databaseCpu }),
    otherCpu: Math.max((after.machine - before.machine) / seconds - serverCpu - clientCpu - (databaseCpu ?? 0), 0),
    serverRss: sum(after, 'rss'),
    serverPeakRss: sum(after, 'peakRss'),
    clientRss: after.client.rss,
  }
}

function sum({ servers }: ReturnType<typeof reading>, what: 'cpu' | 'rss' | 'peakRss'): number {
  return servers.reduce((total, server) => total + server[what], 0)
}
