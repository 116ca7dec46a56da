import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'
import { type Ended, ended, kill, start } from './processes.ts'
import { removeFolder, temporaryFolder } from './temporary.ts'

const serverPackage = new URL('../../../apps/server/', import.meta.url)
const useDist = process.env.TEST_BUILT_SERVER === '1'

/** How to run the `millrace` command: from its sources, or as built when TEST_BUILT_SERVER=1. */
const millraceCommand: readonly [string, ...string[]] = useDist
  ? [process.execPath, fileURLToPath(new URL('dist/cli.js', serverPackage))]
  : [
      process.execPath,
      '--conditions=millrace-source',
      '--disable-warning=ExperimentalWarning',
      fileURLToPath(new URL('src/cli.ts', serverPackage)),
    ]

/** An administrator key that tests may show. */
const rootKey = `mr_${'0123456789abcdefghjkmnpqrstvwxyz'.repeat(2).slice(0, 52)}`

/** What to start. */
export interface ServerOptions {
  /** Where it keeps its data; by default a new folder that goes with the server. */
  readonly data?: string
  /** Its port; a free one by default. */
  readonly port?: number
  /** More flags of `millrace serve`. */
  readonly flags?: readonly string[]
  /** More environment. */
  readonly env?: Readonly<Record<string, string>>
  /** What the command is run by, such as `nsenter`. */
  readonly via?: readonly string[]
}

/** A server process. */
export interface ServerProcess extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly endpoint: string
  /** Where HTTP is served, `host:port`; the same after a restart. */
  readonly http: string
  readonly data: string
  readonly key: string
  /** The process now; another one after a restart. */
  readonly child: ChildProcess
  /** From the start of the process to its ready line, in milliseconds. */
  readonly readyMs: number
  /** What it logged, the last 64 KiB of all its lives. */
  readonly log: string
  /** Kills it as a crash would. */
  kill(): Promise<void>
  /** Asks it to end and waits. */
  stop(): Promise<Ended>
  /** Starts it again on the same port and data. Call it when the last process is gone. */
  restart(): Promise<void>
}

/** A server that ended before it was ready. */
export class ServerDidNotStart extends Error {
  override readonly name = 'ServerDidNotStart'
  readonly ended: Ended
  /** All it wrote. */
  readonly output: string

  constructor(how: Ended, output: string) {
    super(`The server ended with ${how.signal ?? how.code} before it was ready:\n${output}`)
    this.ended = how
    this.output = output
  }
}

/**
 * Starts a server and waits for its ready line.
 *
 * @throws ServerDidNotStart when it ends before.
 */
export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const { data = temporaryFolder(), port = await freePort(), flags = [], env = {}, via = [] } = options
  const endpoint = `127.0.0.1:${port}`
  const http = `127.0.0.1:${await freePort()}`
  const serve = ['serve', '--json', '--grpc', endpoint, '--http', http, '--data', data, ...flags]
  const command = [...via, ...millraceCommand, ...serve] as [string, ...string[]]
  let log = ''

  const launch = async () => {
    const before = performance.now()
    const child = start(command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...ownEnvironment(), MILLRACE_ROOT_KEY: rootKey, ...env },
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-65_536)
    })
    let output = ''
    const ready = new Promise<Record<string, unknown>>((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        output += `${line}\n`
        const said = parseReady(line)
        if (said) resolve(said)
      })
      child.once('error', reject)
      // Not 'exit': what it wrote last is read by then.
      child.once('close', async () => reject(new ServerDidNotStart(await ended(child), output + log)))
    })
    const said = await ready
    if (said.grpc !== endpoint) throw new Error(`The server listens on ${said.grpc}, not on ${endpoint}.`)
    return { child, readyMs: performance.now() - before }
  }

  let life = await launch()
  const killNow = () => kill(life.child)
  return {
    endpoint,
    http,
    data,
    key: rootKey,
    get child() {
      return life.child
    },
    get readyMs() {
      return life.readyMs
    },
    get log() {
      return log
    },
    kill: killNow,
    async stop() {
      life.child.kill('SIGTERM')
      return ended(life.child)
    },
    async restart() {
      life = await launch()
    },
    async [Symbol.asyncDispose]() {
      await killNow()
      if (options.data === undefined) removeFolder(data)
    },
  }
}

/** This process's environment without settings of Millrace and of the test runner. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(MILLRACE_|VITEST|NODE_OPTIONS)/.test(name)))
}

function parseReady(line: string): Record<string, unknown> | undefined {
  try {
    const said: unknown = JSON.parse(line)
    return typeof said === 'object' && said !== null && 'grpc' in said ? { ...said } : undefined
  } catch {
    return undefined
  }
}
