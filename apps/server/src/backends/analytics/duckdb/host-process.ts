import { type ChildProcess, fork } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { invalid, MillraceError } from '../../../errors.ts'
import { makeDirectory } from '../../../make-directory.ts'
import type { FromHost, HostError, HostInput, HostLimits, HostOperation, HostOutput, ToHost } from './host/protocol.ts'

/**
 * Threads of the process. Each query keeps one until it is answered, and those of one database must leave some for the others'. The more
 * there are, the longer each has slept when its turn comes: 128 of them take a millisecond more for a query than 16.
 */
const threads = Math.max(16, 4 * availableParallelism())

/** How long the process may take to close its databases. What was answered is on the disk without that, in DuckDB's log. */
const closeMs = 5000

interface Waiting {
  resolve(output: unknown): void
  reject(error: unknown): void
}

/** The process that runs DuckDB: started with the first call, and again after its end. */
export class HostProcess {
  readonly #directory: string
  readonly #limits: HostLimits
  readonly #waiting = new Map<number, Waiting>()
  #starting: Promise<ChildProcess> | undefined
  #lastId = 0
  #closed = false

  /** @param directory - of all databases. */
  constructor(directory: string, limits: HostLimits) {
    this.#directory = directory
    this.#limits = limits
  }

  /** True when a process runs. */
  get isRunning(): boolean {
    return this.#starting !== undefined
  }

  /**
   * Has the process do something.
   *
   * @param signal - ends it; the call then rejects with the signal's reason.
   * @throws MillraceError
   */
  async call<O extends HostOperation>(operation: O, input: HostInput<O>, signal?: AbortSignal): Promise<HostOutput<O>> {
    signal?.throwIfAborted()
    if (this.#closed) throw new MillraceError('UNAVAILABLE', 'The server is stopping. Connect again.')
    this.#starting ??= this.#start()
    const child = await this.#starting
    const id = ++this.#lastId
    const interrupt = (): void => send(child, { type: 'interrupt', id })
    signal?.addEventListener('abort', interrupt)
    try {
      return await new Promise<HostOutput<O>>((resolve, reject) => {
        this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
        send(child, { type: 'call', id, operation, input })
        if (signal?.aborted) interrupt()
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      this.#waiting.delete(id)
      signal?.removeEventListener('abort', interrupt)
    }
  }

  /** Ends the process; open databases are closed first. */
  async close(): Promise<void> {
    this.#closed = true
    const child = await this.#starting?.catch(() => undefined)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    // Until now nothing of it kept this process alive.
    child.ref()
    child.channel?.ref()
    send(child, { type: 'call', id: ++this.#lastId, operation: 'stop', input: {} })
    // Some functions and plans of DuckDB's hear no interrupt for minutes, and a server that stops waits for nobody that long.
    const late = setTimeout(() => child.kill('SIGKILL'), closeMs)
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
    })
    clearTimeout(late)
  }

  /** Ends the process as it is. */
  async kill(): Promise<void> {
    this.#closed = true
    const child = await this.#starting?.catch(() => undefined)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
    })
  }

  async #start(): Promise<ChildProcess> {
    try {
      await makeDirectory(this.#directory, 0o700)
    } catch (error) {
      this.#starting = undefined
      throw error
    }
    const isSource = import.meta.url.endsWith('.ts')
    const file = fileURLToPath(new URL(isSource ? './host/main.ts' : './duckdb-host.js', import.meta.url))
    const child = fork(file, [JSON.stringify(this.#limits)], {
      // Paths in messages and tables of DuckDB's are relative to it and tell nothing; nor is there anything to read in the environment.
      cwd: this.#directory,
      env: { UV_THREADPOOL_SIZE: String(threads) },
      execArgv: isSource ? ['--conditions=millrace-source'] : [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    // Some functions of DuckDB's take more memory than its limit. When there is none left, Linux shall end this process, which can be
    // started anew, and not the server. Elsewhere there is no such file.
    writeFile(`/proc/${child.pid}/oom_score_adj`, '1000').catch(() => undefined)
    child.on('message', (message: FromHost) => {
      const waiting = this.#waiting.get(message.id)
      if (message.type === 'result') waiting?.resolve(message.output)
      else waiting?.reject(toError(message.error))
    })
    const gone = (): void => {
      if (this.#starting !== started) return
      this.#starting = undefined
      for (const { reject } of this.#waiting.values()) {
        reject(new MillraceError('UNAVAILABLE', 'The process of the databases ended. Try again.', { retryAfterMs: 100 }))
      }
    }
    child.on('exit', gone)
    child.on('error', gone)
    // Nothing of it keeps a server alive that is done.
    child.unref()
    child.channel?.unref()
    const started = this.#starting
    return child
  }
}

function send(child: ChildProcess, message: ToHost): void {
  // A process that is gone tells whoever waits by its end.
  child.send(message, () => undefined)
}

function toError({ reason, message, path, quota }: HostError): Error {
  if (reason === 'INTERNAL') return new Error(`DuckDB: ${message}`)
  if (reason === 'VALIDATION' && path) return invalid(path, message)
  return new MillraceError(reason, message, reason === 'UNAVAILABLE' ? { retryAfterMs: 1000, quota } : { quota })
}
