import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A running server: where it listens, and a key for it. */
export interface Server extends AsyncDisposable {
  readonly endpoint: string
  readonly key: string
}

/** Starts a server on a free port that keeps everything in a folder, and waits until it is ready. */
export async function startServer(data: string): Promise<Server> {
  const args = ['serve', '--dev', '--json', '--data', data, '--grpc', '127.0.0.1:0', '--http', 'off', '--log-level', 'warn']
  const child = spawn('millrace', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line') as Promise<[string]>,
    exited.then(([code]) => Promise.reject(new Error(`The server ended with code ${code} before it was ready.`))),
  ])
  const { grpc, key } = JSON.parse(line) as { grpc: string; key: string }
  return {
    endpoint: grpc,
    key,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
