import { Readable, Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { runCli } from '../src/cli/run.ts'
import type { ServerSettings } from '../src/config/settings.ts'
import { startTestServer } from './harness.ts'

/** Keeps what is written. */
export class Sink extends Writable {
  text = ''
  #wake: () => void = () => undefined

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk
    this.#wake()
    done()
  }

  /** Resolves when so many lines were written. */
  async lines(count: number): Promise<void> {
    while (this.text.split('\n').length <= count) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}

/** Runs a command line in this process; `json()` is what it wrote, line by line. */
export async function run(line: readonly string[], env: Record<string, string> = {}, stdin = '', stdout = new Sink()) {
  const stderr = new Sink()
  const code = await runCli(line, { env, stdin: Readable.from([Buffer.from(stdin)]), stdout, stderr })
  return {
    code,
    stdout: stdout.text,
    stderr: stripVTControlCharacters(stderr.text),
    json: () =>
      stdout.text
        .trim()
        .split('\n')
        .map((row) => JSON.parse(row)),
  }
}

/** A server, and the CLI in an environment that knows it. */
export async function withServer(settings: ServerSettings = {}) {
  const { server, admin } = await startTestServer(settings)
  const env = { MILLRACE_ENDPOINT: server.grpc, MILLRACE_API_KEY: server.key! }
  return { server, admin, env, cli: (...line: string[]) => run(line, env) }
}
