import { styleText } from 'node:util'
import { type Logger, pino } from 'pino'

/** Bytes of log lines that may wait for a reader that does not read; more are dropped, the server goes on. */
const mostWaiting = 4 * 1024 * 1024

/** A log, and what ends it. */
export interface OwnLogger {
  readonly logger: Logger
  /** Writes what waits. */
  close(): void
}

/**
 * Makes the server's log, on standard error.
 *
 * @param options - least serious level, and whether lines are for people.
 */
export function createLogger(options: { readonly level: string; readonly pretty: boolean }): OwnLogger {
  const settings = { level: options.level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }
  if (options.pretty) {
    return { logger: pino(settings, { write: (line: string) => void process.stderr.write(prettyLine(line)) }), close: () => {} }
  }
  const destination = pino.destination({ dest: 2, sync: false, maxLength: mostWaiting })
  const flush = () => destination.flushSync()
  process.once('exit', flush)
  return {
    logger: pino(settings, destination),
    close() {
      process.off('exit', flush)
      flush()
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
