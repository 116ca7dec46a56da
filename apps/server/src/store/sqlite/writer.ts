import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MillraceError } from '../../errors.ts'
import type { JobChange, StoreListener } from '../ports.ts'
import { storageError } from './errors.ts'

interface Mutation {
  run(): unknown
  resolve(value: unknown): void
  reject(error: unknown): void
}

type Outcome = { readonly value: unknown } | { readonly error: unknown }

/** What waits for the log to be on the disk: to be told good, or that it is not known whether it was kept. */
interface Committed {
  finish(): void
  fail(error: unknown): void
}

/** What a writer is given. */
export interface WriterOptions {
  /** Nobody else begins transactions on it. */
  readonly db: DatabaseSync
  /** Writes what is kept in memory and changed in this transaction. */
  beforeCommit(): void
  /** Brings all that was committed until now to the disk. */
  sync(): Promise<void>
  /** Writes the log anew and brings it to the disk, after a sync failed. */
  resync(): void
}

/**
 * Group commit in two steps. Mutations asked for in one turn of the event loop share one transaction; each runs in a
 * savepoint, so that one that throws undoes itself alone. Then the log is brought to the disk (fdatasync) while the next
 * transaction is being made, and only then do the callers hear. A mutation asked for while a transaction is being made
 * joins it. The load sets the size of both groups.
 */
export class Writer {
  /** Told of changes after each commit. */
  listener: StoreListener = { ready() {}, changed() {} }
  readonly #options: WriterOptions
  readonly #db: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #savepoint: StatementSync
  readonly #release: StatementSync
  readonly #undo: StatementSync
  readonly #written: StatementSync
  #waiting: Mutation[] = []
  #scheduled = false
  #closed = false
  #changes: JobChange[] = []
  #afterwards: (() => void)[] = []
  #reverts: (() => void)[] = []
  #rowsWritten = 0
  #unsynced: Committed[] = []
  #syncing: Promise<void> | undefined
  /** A sync failed: what is in the log may not be on the disk. */
  #suspect = false

  constructor(options: WriterOptions) {
    const { db } = options
    this.#options = options
    this.#db = db
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#savepoint = db.prepare('SAVEPOINT mutation')
    this.#release = db.prepare('RELEASE mutation')
    this.#undo = db.prepare('ROLLBACK TO mutation')
    this.#written = db.prepare('SELECT total_changes() AS rows')
  }

  /** Runs a change in the next transaction. Resolves with what `run` returned once it is durable; rejects with what it threw. */
  mutate<T>(run: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(stopping())
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, resolve: resolve as (value: unknown) => void, reject })
      if (this.#scheduled) return
      this.#scheduled = true
      setImmediate(() => this.#flush())
    })
  }

  /** Resolves when all that was committed until now is on the disk. */
  durable(): Promise<void> | undefined {
    if (!this.#syncing) return undefined
    return new Promise((resolve, reject) => this.#unsynced.push({ finish: resolve, fail: reject }))
  }

  /** Inside a mutation: tells of a changed job after the commit. */
  changed(change: JobChange): void {
    this.#changes.push(change)
  }

  /** Inside a mutation: what to do after the commit and after its changes were told. */
  afterwards(act: () => void): void {
    this.#afterwards.push(act)
  }

  /** Inside a mutation: how to take back a change in memory if the mutation or its transaction fails. */
  onRevert(revert: () => void): void {
    this.#reverts.push(revert)
  }

  /** Commits what waits, brings it to the disk, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#flush()
    await this.#syncing
  }

  #flush(): void {
    const mutations = this.#waiting
    if (mutations.length === 0) {
      this.#scheduled = false
      return
    }
    const outcomes: Outcome[] = []
    try {
      // Before SQLite writes pages of what may be lost to their places.
      if (this.#suspect) this.#resync()
      this.#begin.run()
      // By index: a mutation may add others, which join.
      for (let i = 0; i < mutations.length; i++) outcomes.push(this.#runOne(mutations[i]!))
      this.#options.beforeCommit()
      this.#commit.run()
    } catch (cause) {
      this.#abandon(mutations, cause)
      return
    } finally {
      this.#waiting = []
      this.#scheduled = false
    }
    this.#committed(mutations, outcomes)
  }

  #committed(mutations: readonly Mutation[], outcomes: readonly Outcome[]): void {
    const changes = this.#changes
    const afterwards = this.#afterwards
    this.#changes = []
    this.#afterwards = []
    this.#reverts = []
    const finish = () => {
      for (let i = 0; i < outcomes.length; i++) {
        const outcome = outcomes[i]!
        if ('error' in outcome) mutations[i]!.reject(outcome.error)
        else mutations[i]!.resolve(outcome.value)
      }
      if (changes.length > 0) this.listener.changed(changes)
      for (const act of afterwards) act()
    }
    const fail = (error: unknown) => {
      for (const mutation of mutations) mutation.reject(error)
    }
    const { rows } = this.#written.get() as { rows: number }
    const wrote = rows !== this.#rowsWritten
    this.#rowsWritten = rows
    // What only looked waits for those it may have seen, not for the disk.
    if (!wrote && !this.#syncing) {
      finish()
      return
    }
    this.#unsynced.push({ finish, fail })
    this.#syncing ??= this.#sync()
  }

  /** Brings commits to the disk, all at once that came while the last ones were on their way. */
  async #sync(): Promise<void> {
    while (this.#unsynced.length > 0) {
      const committed = this.#unsynced
      this.#unsynced = []
      try {
        // What came while a sync failed lies behind what that one lost.
        if (this.#suspect) this.#resync()
        else await this.#options.sync()
      } catch (cause) {
        this.#suspect = true
        const error = cause instanceof MillraceError ? cause : notDurable(cause)
        for (const { fail } of committed) fail(error)
        // It is committed all the same.
        this.listener.missed?.()
        continue
      }
      for (const { finish } of committed) finish()
    }
    this.#syncing = undefined
  }

  /** After a failed sync. */
  #resync(): void {
    try {
      this.#options.resync()
    } catch (cause) {
      throw notDurable(cause)
    }
    this.#suspect = false
  }

  #runOne(mutation: Mutation): Outcome {
    this.#savepoint.run()
    const changes = this.#changes.length
    const reverts = this.#reverts.length
    try {
      const value = mutation.run()
      this.#release.run()
      return { value }
    } catch (error) {
      // A fault of the disk may have ended the whole transaction; then there is no savepoint to go back to.
      if (!this.#db.isTransaction) throw error
      this.#undo.run()
      this.#release.run()
      this.#changes.length = changes
      this.#revert(reverts)
      return { error: storageError(error) }
    }
  }

  #abandon(mutations: readonly Mutation[], cause: unknown): void {
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    this.#changes = []
    this.#afterwards = []
    this.#revert(0)
    const error = storageError(cause)
    for (const mutation of mutations) mutation.reject(error)
  }

  #revert(from: number): void {
    for (let i = this.#reverts.length - 1; i >= from; i--) this.#reverts[i]!()
    this.#reverts.length = from
  }
}

function stopping(): MillraceError {
  return new MillraceError('UNAVAILABLE', 'The server is stopping: try again on another, or when it is back.')
}

function notDurable(cause: unknown): MillraceError {
  const message = 'The disk did not confirm the write: it may or may not be kept. Check the disk and the system log; repeat the request.'
  return new MillraceError('UNAVAILABLE', message, { retryAfterMs: 1000 }, { cause })
}
