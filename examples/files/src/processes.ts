import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A running server: where it listens, and a key for it. */
export interface Server extends AsyncDisposable {
  readonly endpoint: string
  readonly key: string
}

/**
 * Starts a server on an embedded store and a free port, and waits until it is ready.
 *
 * @param data - the folder of everything it keeps.
 * @throws Error when it ends before that.
 */
export async function startServer(data: string): Promise<Server> {
  const args = ['serve', '--dev', '--json', '--data', data, '--grpc', '127.0.0.1:0', '--log-level', 'warn']
  const child = spawn('millrace', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line') as Promise<[string]>,
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`The server ended with code ${code} before it was ready.`))),
  ])
  const { grpc, key } = JSON.parse(line) as { grpc: string; key: string }
  return { endpoint: grpc, key, [Symbol.asyncDispose]: () => stop(child) }
}

/**
 * Starts a worker process.
 *
 * @param server - the server it takes work from.
 */
export function startWorker({ endpoint, key }: Server): AsyncDisposable {
  const env = { ...process.env, MILLRACE_ENDPOINT: endpoint, MILLRACE_API_KEY: key }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'worker.ts')], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  return { [Symbol.asyncDispose]: () => stop(child) }
}

/** Asks a process to finish what it has begun, and waits for its end. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
