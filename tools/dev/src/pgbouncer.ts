import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { asOwner, type Postgres } from './postgres.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'

/** A private PgBouncer. */
export interface PgBouncer extends ServiceProcess {
  /** As the database's own, but through it. */
  readonly url: string
}

const ifMissing = 'PgBouncer was not found. Install it: apt-get install pgbouncer'
/** Debian keeps it out of the path of ordinary users. */
const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path)) ?? 'pgbouncer'

/** The version of the machine's PgBouncer. Throws when it is not installed. */
export function pgBouncerVersion(): string {
  const { stdout, error } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (error !== undefined) throw new Error(ifMissing, { cause: error })
  return /PgBouncer (\S+)/.exec(stdout)?.[1] ?? stdout.trim()
}

/**
 * Starts the machine's PgBouncer in transaction mode before a Postgres that asks for no password. Throws when it is not installed.
 *
 * @param connections - to the Postgres, for all clients together.
 */
export async function startPgBouncer(postgres: Pick<Postgres, 'url'>, connections = 10): Promise<PgBouncer> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'millrace-pgbouncer-'))
  const file = join(dir, 'pgbouncer.ini')
  const { hostname, port: serverPort, username } = new URL(postgres.url)
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: 'transaction',
    default_pool_size: connections,
    max_client_conn: 1000,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  writeFileSync(file, `[databases]\n* = host=${hostname} port=${serverPort} user=${username}\n[pgbouncer]\n${lines.join('\n')}\n`)
  const [command = program, ...args] = [...asOwner(dir), program, file]
  const isReady = (line: string) => line.includes('process up')
  const service = await startServiceProcess({ name: 'pgbouncer', command, args, dir, ifMissing, isReady })
  return { ...service, url: Object.assign(new URL(postgres.url), { port: String(port) }).href }
}
