import { resolve } from 'node:path'
import { ConfigError, loadConfig } from './config/load.ts'
import type { ServerConfig } from './config/settings.ts'
import { type RunningServer, startServer } from './serve.ts'
import { StartError } from './start-error.ts'
import { version } from './version.ts'

/** Where the program writes. */
interface Terminal {
  line(text?: string): void
  json(value: unknown): void
  remark(text: string): void
  error(text: string): void
  style(style: 'bold' | 'dim' | 'cyan' | 'yellow', text: string): string
}

/**
 * The program behind `millrace serve`: loads the configuration, serves until a signal, stops gracefully.
 *
 * @returns the exit code: 0 after a graceful stop, 1 when the server cannot start.
 */
export async function serveUntilStopped(options: {
  readonly flags: Readonly<Record<string, string | boolean>>
  readonly file?: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly output: Terminal
  /** Called when the server serves. */
  readonly onStarted: () => void
}): Promise<number> {
  const { output } = options
  const signals = stopSignals()
  void signals.again.then(() => process.exit(1))
  try {
    const { config, warnings } = await loadConfig(options)
    for (const warning of warnings) output.remark(warning)
    const stopped = new AbortController()
    void signals.first.then(() => stopped.abort())
    const server = await startServer(config, { signal: stopped.signal })
    options.onStarted()
    if (config.json) output.json({ grpc: server.grpc, http: server.http, key: server.key })
    else printBanner(output, config, server)
    const signal = await signals.first
    if (!config.json) output.remark(`${signal}: stopping; once more to end at once`)
    await server.stop()
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof StartError)) throw error
    for (const line of error.message.split('\n')) output.error(line)
    return 1
  }
}

/** What comes so soon after a signal is the same one: a terminal, npm and `timeout` each pass one Ctrl+C on. */
const sameSignalMs = 300

/** The first signal to stop, and the one that says it again. */
function stopSignals(): { readonly first: Promise<string>; readonly again: Promise<string> } {
  const first = Promise.withResolvers<string>()
  const again = Promise.withResolvers<string>()
  let firstAt: number | undefined
  const onSignal = (signal: string) => {
    firstAt ??= performance.now()
    first.resolve(signal)
    if (performance.now() - firstAt > sameSignalMs) again.resolve(signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  return { first: first.promise, again: again.promise }
}

function printBanner(output: Terminal, config: ServerConfig, { grpc, http, key, notice }: RunningServer): void {
  const row = (name: string, value: string) => output.line(`  ${output.style('dim', name.padEnd(5))} ${value}`)
  output.line()
  output.line(`  ${output.style('bold', `Millrace ${version}`)}`)
  output.line()
  row('gRPC', output.style('cyan', `${grpc}${config.tlsCert ? ' (TLS)' : ''}`))
  if (http) row('HTTP', output.style('cyan', `${config.tlsCert ? 'https' : 'http'}://${http}`))
  row('data', resolve(config.data))
  if (key) {
    row('key', key)
    const endpoint = config.tlsCert ? `https://${grpc}` : grpc
    output.line(`\n  In another terminal:\n`)
    output.line(`    export MILLRACE_ENDPOINT=${endpoint} MILLRACE_API_KEY=${key}`)
    output.line(`    millrace health`)
  }
  if (notice) output.line(`\n  ${output.style('yellow', notice)}`)
  output.line(`\n  Stop with Ctrl+C.\n`)
}
