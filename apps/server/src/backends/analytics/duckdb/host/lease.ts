import type { DuckDBConnection, DuckDBPreparedStatement } from '@duckdb/node-api'
import type { Slots } from '../../../slots.ts'
import { Failure } from './failure.ts'
import type { Gate } from './gate.ts'

/** How often an interrupt is repeated, in milliseconds. */
const interruptEveryMs = 50

/** What is made before somebody needs it. */
export interface Connected {
  readonly connection: DuckDBConnection
  /** `SELECT 1`, on it. */
  readonly probe: DuckDBPreparedStatement
}

/** A connection to a database, which stays open until it is closed. */
export class Lease {
  readonly connection: DuckDBConnection
  readonly #probe: DuckDBPreparedStatement
  /** Where the server and the database leave files for each other, relative to the directory of all. */
  readonly staging: string
  readonly #gate: Gate
  readonly #slots: Slots
  readonly #onClose: () => void
  readonly #closed = Promise.withResolvers<void>()
  readonly #givenUp = Promise.withResolvers<never>()
  #isInterrupted = false
  #isClosed = false
  /** Gives up what is held between two calls; what runs is interrupted. */
  giveUp: () => Promise<void> = () => Promise.resolve()

  constructor(
    { connection, probe }: Connected,
    { staging, gate, slots }: { readonly staging: string; readonly gate: Gate; readonly slots: Slots },
    onClose: () => void,
  ) {
    this.connection = connection
    this.#probe = probe
    this.staging = staging
    this.#gate = gate
    this.#slots = slots
    this.#givenUp.promise.catch(() => undefined)
    this.#onClose = onClose
  }

  /** Has DuckDB do something, when not too many do. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#slots.run(work)
  }

  /** The same with something that changes the database, when nobody copies it. */
  change<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.pass(() => this.run(work), this.#givenUp.promise)
  }

  /** Does something while nobody changes the database. */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.passAlone(work, this.#givenUp.promise)
  }

  /** Whether nothing has failed in the transaction. */
  isSound(): Promise<boolean> {
    return this.#probe.run().then(
      () => true,
      () => false,
    )
  }

  /** True when what ran was told to end: its rows may then end early, without an error. */
  get isInterrupted(): boolean {
    return this.#isInterrupted
  }

  /** Tells what runs to end. */
  interrupt(): void {
    this.#isInterrupted = true
    this.#givenUp.reject(new Failure({ reason: 'UNAVAILABLE', message: 'The query was ended.' }))
    if (!this.#isClosed) this.connection.interrupt()
  }

  /** Ends whatever runs, and waits until the connection is closed. */
  async end(): Promise<void> {
    await Promise.all([this.interruptUntil(this.#closed.promise), this.giveUp()])
  }

  /** Interrupts what runs until something is over. DuckDB forgets an interrupt that comes between two steps, so it is repeated. */
  async interruptUntil<T>(over: Promise<T>): Promise<T> {
    this.interrupt()
    const repeated = setInterval(() => this.interrupt(), interruptEveryMs)
    try {
      return await over
    } finally {
      clearInterval(repeated)
    }
  }

  /** Closes the connection. */
  close(): void {
    this.#isClosed = true
    this.#probe.destroySync()
    this.connection.closeSync()
    this.#onClose()
    this.#closed.resolve()
  }
}
