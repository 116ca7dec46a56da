import { existsSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import {
  areSmall,
  type Login,
  type ResultBounds,
  ResultTooLarge,
  SqlError,
  type SqlOutcome,
  type SqlValue,
  type TableConnection,
  type TableDatabase,
} from '../../../domain/tables/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { makeDirectory } from '../../../make-directory.ts'
import { type DirectoryHold, holdDirectory } from './directory-hold.ts'
import type { PgliteAnswer, PgliteTask } from './messages.ts'

/** Longest start, with making the database. */
const startMs = 120_000
/** The thread's stack. Postgres minds its own, of which each byte takes about twenty of this one. */
const stackMb = 64
const unbounded = { rows: 2 ** 31 - 2, bytes: Infinity }

/** Where the thread's code is: beside this file in the sources, beside the bundle when built. */
function threadUrl(): URL {
  const source = new URL('./thread.ts', import.meta.url)
  return existsSync(source) ? source : new URL('./pglite-thread.js', import.meta.url)
}

/** How to open PGlite. */
export interface PgliteOptions {
  /** Directory of its files; made when missing. */
  readonly directory: string
  /** Longest statement, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * A Postgres in a thread of this process, made with the first use. It has one connection, so callers take turns. A statement
 * that takes too long ends the thread, as a crash would: Postgres recovers at the next use.
 */
export class PgliteDatabase implements TableDatabase {
  readonly #options: PgliteOptions
  #worker: Promise<Worker> | undefined
  /** Ends with the last of those who wait for their turn. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Whom the connection is logged in as; undefined when nobody knows. */
  #role: string | undefined
  #closed = false
  /** Keeps other servers from the directory. */
  #held: DirectoryHold | undefined
  #onSaid: (said: string | undefined) => void = () => undefined

  constructor(options: PgliteOptions) {
    this.#options = options
  }

  asServer<T>(work: (connection: TableConnection) => Promise<T>): Promise<T> {
    return this.#lend({ role: undefined, settings: [] }, false, work)
  }

  asRole<T>({ role, searchPath }: Login, work: (connection: TableConnection) => Promise<T>, raw = false): Promise<T> {
    const settings = [`SET search_path = ${searchPath}`]
    return this.#lend({ role, settings }, raw, work)
  }

  read(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    return this.asRole(login, (connection) => connection.query(text, values, bounds))
  }

  insert(login: Login, text: string, values: readonly SqlValue[], bounds: ResultBounds): Promise<SqlOutcome> {
    if (areSmall(values)) return this.read(login, text, values, bounds)
    return this.asRole(login, (connection) => connection.write(text, values, bounds))
  }

  forget(): void {
    // It prepares nothing.
  }

  async listen(onSaid: (said: string | undefined) => void): Promise<void> {
    this.#onSaid = onSaid
  }

  /** Takes no turn: whoever has a long one is no fault. */
  async check(): Promise<void> {
    await this.#open()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#turn.catch(() => undefined)
    const worker = await this.#worker?.catch(() => undefined)
    if (worker) {
      await this.#ask(worker, { do: 'close' }, startMs).catch(() => undefined)
      await worker.terminate()
    }
    this.#held?.release()
  }

  /** Waits for the turn, logs in and works. */
  #lend<T>(
    login: { readonly role: string | undefined; readonly settings: readonly string[] },
    raw: boolean,
    work: (connection: TableConnection) => Promise<T>,
  ): Promise<T> {
    const turn = this.#turn.then(async () => {
      if (this.#closed) throw new MillraceError('UNAVAILABLE', 'The server is stopping. Connect again.')
      const worker = await this.#open()
      const name = login.role ?? ''
      if (this.#role !== name) {
        this.#role = undefined
        await this.#ask(worker, { do: 'login', ...login })
        this.#role = name
      }
      if (raw) this.#role = undefined
      const connection: TableConnection = {
        query: async (text: string, values: readonly SqlValue[] = [], { rows, bytes }: ResultBounds = unbounded) =>
          (await this.#ask(worker, { do: 'query', text, values, bounds: { rows, bytes } }))!,
        script: async (text: string) => void (await this.#ask(worker, { do: 'script', text })),
        async write(...statement) {
          await connection.query('BEGIN')
          try {
            const outcome = await connection.query(...statement)
            await connection.query('COMMIT')
            return outcome
          } catch (error) {
            await connection.query('ROLLBACK').catch(() => undefined)
            throw error
          }
        },
      }
      return work(connection)
    })
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  #open(): Promise<Worker> {
    if (this.#worker !== undefined) return this.#worker
    const worker = this.#start()
    const forget = () => {
      if (this.#worker === worker) this.#worker = undefined
      // What it committed last may not have been told.
      if (!this.#closed) this.#onSaid(undefined)
    }
    void worker.then((started) => started.once('exit', forget), forget)
    this.#worker = worker
    return worker
  }

  async #start(): Promise<Worker> {
    const { directory } = this.#options
    await makeDirectory(directory)
    this.#held ??= holdDirectory(directory)
    const files = join(directory, 'postgres')
    if (!existsSync(files)) await this.#make(files)
    return this.#launch(files)
  }

  /** Makes the database. It has its name when it is whole; and the thread that made it ends, with all the memory that takes. */
  async #make(files: string): Promise<void> {
    const fresh = `${files}.new`
    await rm(fresh, { recursive: true, force: true })
    const worker = await this.#launch(fresh)
    await this.#ask(worker, { do: 'close' }, startMs)
    await worker.terminate()
    await syncAll(fresh)
    await rename(fresh, files)
    await syncFile(dirname(files))
  }

  async #launch(files: string): Promise<Worker> {
    this.#role = undefined
    const worker = new Worker(threadUrl(), {
      workerData: { directory: files },
      name: 'tables',
      resourceLimits: { stackSizeMb: stackMb },
    })
    worker.unref()
    await this.#answer(worker, startMs)
    return worker
  }

  #ask(worker: Worker, task: PgliteTask, timeoutMs = this.#options.timeoutMs): Promise<SqlOutcome | undefined> {
    worker.postMessage(task)
    return this.#answer(worker, timeoutMs)
  }

  /** Waits for the thread's next answer. */
  async #answer(worker: Worker, timeoutMs: number): Promise<SqlOutcome | undefined> {
    let resolve!: (answer: PgliteAnswer) => void
    let reject!: (error: Error) => void
    const promise = new Promise<PgliteAnswer>((onAnswer, onError) => {
      resolve = onAnswer
      reject = onError
    })
    const onExit = () => reject(new MillraceError('UNAVAILABLE', 'The tables were interrupted. Try again.', { retryAfterMs: 1000 }))
    const end = () => {
      this.#worker = undefined
      void worker.terminate()
    }
    const timer = setTimeout(() => {
      reject(new MillraceError('DEADLINE_EXCEEDED', `The statement took longer than ${timeoutMs} ms, and was ended.`))
      end()
    }, timeoutMs)
    worker.once('message', resolve).once('error', reject).once('exit', onExit)
    try {
      const answer = await promise
      for (const each of answer.said ?? []) this.#onSaid(each)
      if ('outcome' in answer) return answer.outcome
      if ('tooLarge' in answer) throw new ResultTooLarge(answer.tooLarge)
      if ('error' in answer) throw new SqlError(answer.error)
      // Nobody knows in what state it is: as after a crash, Postgres recovers at the next use.
      end()
      throw new Error(answer.fault)
    } finally {
      clearTimeout(timer)
      worker.off('message', resolve).off('error', reject).off('exit', onExit)
    }
  }
}

/** Brings a file, or the entries of a directory, to the disk. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncAll(directory: string): Promise<void> {
  const entries = await readdir(directory, { recursive: true })
  // Many at a time: they share what the disk does.
  for (let i = 0; i < entries.length; i += 64) await Promise.all(entries.slice(i, i + 64).map((entry) => syncFile(join(directory, entry))))
  await syncFile(directory)
}
