import { execFile, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'

/** How a private Postgres keeps its data. */
export interface PostgresOptions {
  /** Whether a commit waits for the disk. Default true; without, it is faster and what it holds may be lost with the machine, not with the process: for tests. */
  readonly fsync?: boolean
  /** The superuser's password. Default: none is asked for. */
  readonly password?: string
  /** More settings, by their names in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
  /** What the server is run by, such as `nsenter` and its arguments. Default: nothing. */
  readonly via?: readonly string[]
  /** The folder of its programs. Default: that of the machine's newest Postgres. */
  readonly programs?: string
  /** Where its folder is made. Default: the system's folder for temporary files. */
  readonly parentDir?: string
}

/** A private Postgres. */
export interface Postgres extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** `postgres://millrace@127.0.0.1:PORT/postgres` */
  readonly url: string
  readonly dir: string
  /** Its process now: another one after each start. */
  pid(): number
  /** Its last lines of output. */
  output(): string
  /** Ends it, keeping its data: `fast` cuts the connections and writes everything back, `immediate` is a crash. */
  halt(how: 'fast' | 'immediate'): Promise<void>
  /** Starts it again on the same port and data. */
  start(): Promise<void>
  /** Ends it and removes its folder. Safe to call again. */
  stop(): Promise<void>
}

const host = '127.0.0.1'
const user = 'millrace'
const attempts = 5
const ifMissing = 'Postgres was not found. Install it: apt-get install postgresql'
const run = promisify(execFile)

/** The folder of the machine's newest Postgres programs. Throws when there are none. */
export function programs(): string {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions.map((version) => join(debian, version, 'bin')).find((dir) => existsSync(join(dir, 'postgres')))
  if (found !== undefined) return found
  const { stdout } = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  if (!stdout) throw new Error(ifMissing)
  return stdout.trim()
}

/** The version of the machine's Postgres, such as `15.6`. Throws when it is not installed. */
export function postgresVersion(): string {
  const { stdout } = spawnSync(join(programs(), 'postgres'), ['--version'], { encoding: 'utf8' })
  return /(\d+(\.\d+)*)/.exec(stdout)?.[1] ?? stdout.trim()
}

/** Postgres and PgBouncer refuse to run as root: then the path is given to the user that Debian's package made for it; returns how to run as that one. */
export function asOwner(path: string): readonly string[] {
  if (process.getuid?.() !== 0) return []
  const id = (flag: string) => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout)
  const uid = id('-u')
  if (!uid)
    throw new Error("Postgres cannot run as root, and there is no user 'postgres': install Debian's package, or run as another user.")
  chownSync(path, uid, id('-g'))
  return ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--']
}

/** Starts the machine's Postgres on a free port with an empty cluster. Throws when it is not installed. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const bin = options.programs ?? programs()
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const dir = mkdtempSync(join(options.parentDir ?? tmpdir(), 'millrace-postgres-'))
    const prefix = asOwner(dir)
    await initialise(bin, dir, prefix, options.password)
    const launch = () => {
      const [command, ...args] = [...(options.via ?? []), ...prefix, join(bin, 'postgres'), ...postgresArguments(port, dir, options)] as [
        string,
        ...string[],
      ]
      const isReady = (line: string) => line.includes('database system is ready to accept connections')
      return startServiceProcess({ name: 'postgres', command, args, dir, ifMissing, isReady, readyTimeout: 30_000 })
    }
    try {
      return postgresOf(await launch(), launch, { port, dir, password: options.password })
    } catch (error) {
      const taken = (error as Error).message.includes('Address already in use')
      if (!taken || attempt === attempts) throw error
    }
  }
}

function postgresOf(
  first: ServiceProcess,
  launch: () => Promise<ServiceProcess>,
  { port, dir, password }: { port: number; dir: string; password: string | undefined },
): Postgres {
  // All processes that ran on the folder: the last to be stopped removes it.
  const services = [first]
  const current = () => services.at(-1)!
  const halt = async (how: 'fast' | 'immediate') => {
    if (!isAlive(current().pid)) return
    process.kill(current().pid, how === 'fast' ? 'SIGINT' : 'SIGQUIT')
    while (isAlive(current().pid)) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const stop = async () => {
    await halt('fast')
    for (const service of services.reverse()) await service.stop()
  }
  return {
    host,
    port,
    url: `postgres://${user}${password === undefined ? '' : `:${encodeURIComponent(password)}`}@${host}:${port}/postgres`,
    dir,
    pid: () => current().pid,
    output: () => current().output(),
    halt,
    async start() {
      services.push(await launch())
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function initialise(bin: string, dir: string, prefix: readonly string[], password: string | undefined): Promise<void> {
  const common = [`--pgdata=${join(dir, 'data')}`, `--username=${user}`, '--encoding=UTF8', '--locale=C', '--no-sync']
  const passwordFile = join(dir, 'password')
  if (password !== undefined) {
    writeFileSync(passwordFile, password)
    asOwner(passwordFile)
  }
  const auth = password === undefined ? ['--auth=trust'] : ['--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  const [command, ...args] = [...prefix, join(bin, 'initdb'), ...common, ...auth] as [string, ...string[]]
  try {
    await run(command, args, { cwd: dir })
  } catch (error) {
    rmSync(dir, { recursive: true, force: true })
    throw error
  }
}

function postgresArguments(port: number, dir: string, { fsync = true, settings = {} }: PostgresOptions): string[] {
  const all: Record<string, string> = {
    listen_addresses: host,
    port: String(port),
    unix_socket_directories: '',
    fsync: fsync ? 'on' : 'off',
    ...settings,
  }
  return ['-D', join(dir, 'data'), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}
