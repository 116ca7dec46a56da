import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'

/** How a private Redis keeps its data. */
export interface RedisOptions {
  /** When its append-only file is fsynced: before each answer, every second, or when the system likes. Default `everysec`, as Redis has it. */
  readonly appendfsync?: 'always' | 'everysec' | 'no'
  /** Where its folder is made. Default: the system's folder for temporary files. */
  readonly parentDir?: string
}

/** A private Redis. */
export interface Redis extends ServiceProcess {
  readonly host: string
  readonly port: number
  /** `redis://127.0.0.1:PORT` */
  readonly url: string
}

const host = '127.0.0.1'
const attempts = 5
const ifMissing = 'redis-server was not found. Install it: apt-get install redis-server'

/** The version of the machine's `redis-server`. Throws when it is not installed. */
export function redisVersion(): string {
  const { stdout, error } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  if (error !== undefined) throw new Error(ifMissing, { cause: error })
  return /v=(\S+)/.exec(stdout)?.[1] ?? stdout.trim()
}

/** Starts the machine's `redis-server` on a free port with an empty append-only store. Throws when it is not installed. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const dir = mkdtempSync(join(options.parentDir ?? tmpdir(), 'millrace-redis-'))
    try {
      const service = await startServiceProcess({
        name: 'redis-server',
        command: 'redis-server',
        args: redisArguments(port, dir, options.appendfsync ?? 'everysec'),
        dir,
        ifMissing,
        isReady: (line) => line.includes('Ready to accept connections'),
      })
      return { ...service, host, port, url: `redis://${host}:${port}` }
    } catch (error) {
      const taken = (error as Error).message.includes('Address already in use')
      if (!taken || attempt === attempts) throw error
    }
  }
}

function redisArguments(port: number, dir: string, appendfsync: string): string[] {
  const settings: Record<string, string> = {
    bind: host,
    port: String(port),
    dir,
    appendonly: 'yes',
    appendfsync,
    // The append-only file is the store: no snapshots beside it, and no rewriting in the middle of a measurement.
    save: '',
    'auto-aof-rewrite-percentage': '0',
    'maxmemory-policy': 'noeviction',
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}
