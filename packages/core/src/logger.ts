/** Takes the client's log lines. `console` and most loggers fit. */
export interface Logger {
  /** For whoever looks for a fault in the client's use of the network. */
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Normal operation. */
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Something odd that the client copes with. */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Something failed and nobody listens for it. */
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

const levels = ['debug', 'info', 'warn', 'error'] as const

/** A level of the log; lines below it are dropped. */
export type LogLevelName = (typeof levels)[number]

/** True when `text` names a level. */
export function isLogLevel(text: string | undefined): text is LogLevelName {
  return levels.includes(text as LogLevelName)
}

/**
 * Writes to the console, on standard error where there is one.
 *
 * @param lowest - the lowest level that is written.
 */
export function createConsoleLogger(lowest: LogLevelName): Logger {
  const write =
    (level: LogLevelName) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (levels.indexOf(level) < levels.indexOf(lowest)) return
      const line = `${new Date().toISOString()} millrace ${level}: ${message}`
      if (fields) console.error(line, fields)
      else console.error(line)
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}
