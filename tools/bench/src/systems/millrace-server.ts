import { existsSync, mkdtempSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type ServiceProcess, startServiceProcess } from '@millrace/dev'
import type { MillraceAddress } from './millrace-client.ts'

/** How to start a server. */
export interface MillraceServerOptions {
  /** Folder for the server's folder. */
  readonly parentDir: string
  /** An existing data folder to open again; it is kept. Default: a new one, removed with the server. */
  readonly dataDir?: string
  readonly sources: boolean
  /** Default: SQLite in its data folder. */
  readonly store?: string
  /** More arguments of `millrace serve`. */
  readonly args?: readonly string[]
  /** Where it writes a CPU profile when told to. */
  readonly profileFile?: string
}

/** A Millrace server of its own. */
export interface MillraceServer extends ServiceProcess {
  readonly address: MillraceAddress
  /** Where it serves HTTP, `host:port`. */
  readonly http: string
}

/** Node's options for running Millrace from its sources. */
export const sourceOptions = ['--conditions=millrace-source', '--disable-warning=ExperimentalWarning']

/** Starts the server as a user would, on a free port with an empty store. */
export async function startMillrace(options: MillraceServerOptions): Promise<MillraceServer> {
  const dir = mkdtempSync(join(options.parentDir, 'server-'))
  const root = dirname(createRequire(import.meta.url).resolve('@millrace/server/package.json'))
  const program = join(root, options.sources ? 'src/cli.ts' : 'dist/cli.js')
  if (!existsSync(program)) throw new Error('The server is not built: run pnpm build first, or add --sources.')
  const profiling = options.profileFile === undefined ? [] : ['--import', new URL('../profile-server.ts', import.meta.url).href]
  const service = await startServiceProcess({
    name: 'the Millrace server',
    command: process.execPath,
    args: [
      ...profiling,
      ...(options.sources ? sourceOptions : []),
      program,
      'serve',
      '--grpc',
      '127.0.0.1:0',
      '--data',
      options.dataDir ?? join(dir, 'data'),
      '--queue-depth',
      '1000000000',
      '--dev',
      '--json',
      ...(options.store === undefined ? [] : ['--store', options.store]),
      ...(options.args ?? []),
    ],
    dir,
    env: { ...withoutMillrace(process.env), ...(options.profileFile && { BENCH_PROFILE_FILE: options.profileFile }) },
    ifMissing: 'node was not found',
    isReady: (line) => line.startsWith('{"grpc":'),
    readyTimeout: 60_000,
  })
  const { grpc, http, key } = JSON.parse(service.readyLine) as { grpc: string; http: string; key: string }
  return { ...service, address: { endpoint: grpc, apiKey: key }, http }
}

/** The environment without settings of the user's own servers and clients. */
function withoutMillrace(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('MILLRACE_')))
}
