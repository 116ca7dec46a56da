import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'

/** A private NATS server with JetStream, whose streams are in files. */
export interface Nats extends ServiceProcess {
  /** `127.0.0.1:PORT` */
  readonly address: string
}

const ifMissing = 'nats-server was not found. Install it: apt-get install nats-server'
const attempts = 5

/** The version of the machine's `nats-server`. Throws when it is not installed. */
export function natsVersion(): string {
  const { stdout, error } = spawnSync('nats-server', ['--version'], { encoding: 'utf8' })
  if (error !== undefined) throw new Error(ifMissing, { cause: error })
  return /v(\d\S*)/.exec(stdout)?.[1] ?? stdout.trim()
}

/**
 * Starts the machine's `nats-server` on a free port with an empty store. Throws when it is not installed.
 *
 * @param parentDir - where its folder is made. Default: the system's folder for temporary files.
 */
export async function startNats(parentDir = tmpdir()): Promise<Nats> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const dir = mkdtempSync(join(parentDir, 'millrace-nats-'))
    try {
      const service = await startServiceProcess({
        name: 'nats-server',
        command: 'nats-server',
        args: ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', dir],
        dir,
        ifMissing,
        isReady: (line) => line.includes('Server is ready'),
      })
      return { ...service, address: `127.0.0.1:${port}` }
    } catch (error) {
      const taken = (error as Error).message.includes('address already in use')
      if (!taken || attempt === attempts) throw error
    }
  }
}
