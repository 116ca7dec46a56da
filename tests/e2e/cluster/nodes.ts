import { fileURLToPath } from 'node:url'
import { type Postgres, postgresVersion, startPostgres, whyMissing } from '@millrace/dev'
import { beforeEach } from 'vitest'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { TcpProxy } from '../harness/tcp-proxy.ts'

/** Skips the tests of a file where no Postgres is installed. */
export function needPostgres(): void {
  const missing = whyMissing(postgresVersion)
  beforeEach(({ skip }) => skip(missing !== undefined, missing))
}

/** One server of the system, and the networks around it. */
export interface ClusterNode {
  readonly name: string
  readonly server: ServerProcess
  readonly toPostgres: TcpProxy
  readonly fromClients: TcpProxy
}

/** Servers over one Postgres. */
export interface TestCluster extends AsyncDisposable {
  readonly postgres: Postgres
  readonly nodes: readonly ClusterNode[]
  /** All servers as clients reach them: through the networks that tests break. */
  readonly endpoint: string
  readonly key: string
}

/** How to start a cluster. */
export interface ClusterOptions {
  /** By how much the clock of each server is wrong, in milliseconds. As many servers as there are numbers. */
  readonly skews: readonly number[]
}

/** Starts a private Postgres and servers over it; all go with the result. */
export async function startCluster({ skews }: ClusterOptions): Promise<TestCluster> {
  const stack = new AsyncDisposableStack()
  try {
    const postgres = stack.use(await startPostgres({ settings: { max_connections: '120' } }))
    const nodes: ClusterNode[] = []
    for (const [i, skew] of skews.entries()) {
      const toPostgres = stack.use(await TcpProxy.start(postgres.port))
      const url = Object.assign(new URL(postgres.url), { port: String(toPostgres.port) }).href
      const server = stack.use(await startServer({ flags: ['--log-level', 'warn', '--store', url], env: clockOf(skew) }))
      const fromClients = stack.use(await TcpProxy.start(Number(server.endpoint.split(':')[1])))
      nodes.push({ name: `node-${i + 1}`, server, toPostgres, fromClients })
    }
    const endpoint = nodes.map(({ fromClients }) => `127.0.0.1:${fromClients.port}`).join(',')
    const owned = stack.move()
    return { postgres, nodes, endpoint, key: nodes[0]!.server.key, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** The environment of a server whose clock is ahead, or behind. */
export function clockOf(skewMs: number): Record<string, string> {
  if (skewMs === 0) return {}
  const preload = fileURLToPath(new URL('skewed-clock.ts', import.meta.url))
  return { NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import ${preload}`, TEST_CLOCK_SKEW_MS: String(skewMs) }
}
