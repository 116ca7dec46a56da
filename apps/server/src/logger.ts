import { setTimeout as sleep } from 'node:timers/promises'
import { styleText } from 'node:util'
import { type Logger, pino } from 'pino'

/** Bytes of log lines that may wait for a reader that does not read; more are dropped, the server goes on. */
const mostWaiting = 4 * 1024 * 1024

/** How long a reader has for the last lines, in milliseconds. */
const longestFlushMs = 1000

/** A log, and what ends it. */
export interface OwnLogger {
  readonly logger: Logger
  /** Writes what waits, unless its reader does not read. */
  close(): Promise<void>
}

/**
 * Makes the server's log, on standard error.
 *
 * @param options - least serious level, and whether lines are for people.
 */
export function createLogger(options: { readonly level: string; readonly pretty: boolean }): OwnLogger {
  const settings = { level: options.level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }
  if (options.pretty) {
    return { logger: pino(settings, { write: (line: string) => void process.stderr.write(prettyLine(line)) }), close: async () => {} }
  }
  // With a least length, `flush` tells when it is done.
  const destination = pino.destination({ dest: 2, sync: false, minLength: 1, maxLength: mostWaiting })
  // A reader that is gone, or a full disk: lines are lost, and the server goes on. To flush them at the end would be tried for ever.
  destination.on('error', () => {
    destination.flushSync = () => {}
  })
  const flush = () => destination.flushSync()
  process.once('exit', flush)
  return {
    logger: pino(settings, destination),
    async close() {
      process.off('exit', flush)
      const flushed = new Promise<void>((resolve) => destination.flush(() => resolve()))
      await Promise.race([flushed, sleep(longestFlushMs, undefined, { ref: false })])
    },
  }
}

const names: Record<number, string> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' }
const colours = { debug: 'gray', info: 'cyan', warn: 'yellow', error: 'red' } as const

/** One line of JSON as people read it: time, level, message, the rest as key=value. */
function prettyLine(line: string): string {
  const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>
  const name = names[level as number] ?? String(level)
  const colour = colours[name as keyof typeof colours] ?? 'white'
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const stack = err ? `\n${(err as { stack?: string }).stack}` : ''
  const clock = String(time).slice(11, 23)
  const style = (format: Parameters<typeof styleText>[0], text: string) => styleText(format, text, { stream: process.stderr })
  return `${style('gray', clock)} ${style(colour, name.padEnd(5))} ${msg ?? ''}${style('gray', fields.join(''))}${stack}\n`
}
