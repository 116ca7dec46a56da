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

/**
 * Group commit: mutations asked for in one turn of the event loop share one transaction and one fsync. Each runs in a
 * savepoint, so that one that throws undoes itself alone; each caller's promise settles after the commit. A mutation
 * asked for while a transaction is being made joins it.
 *
 * While one commit waits for the disk, the sockets fill; the next turn's group is then larger. The load sets the size.
 */
export class Writer {
  /** Told of changes after each commit. */
  listener: StoreListener = { ready() {}, changed() {} }
  readonly #db: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #savepoint: StatementSync
  readonly #release: StatementSync
  readonly #undo: StatementSync
  readonly #beforeCommit: () => void
  #waiting: Mutation[] = []
  #scheduled = false
  #closed = false
  #changes: JobChange[] = []
  #afterwards: (() => void)[] = []
  #reverts: (() => void)[] = []

  /**
   * @param db - the connection; nobody else begins transactions on it.
   * @param beforeCommit - writes what is kept in memory and changed in this transaction.
   */
  constructor(db: DatabaseSync, beforeCommit: () => void) {
    this.#db = db
    this.#beforeCommit = beforeCommit
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#savepoint = db.prepare('SAVEPOINT mutation')
    this.#release = db.prepare('RELEASE mutation')
    this.#undo = db.prepare('ROLLBACK TO mutation')
  }

  /** Runs a change in the next transaction. Resolves with what `run` returned once it is durable; rejects with what it threw. */
  mutate<T>(run: () => T): Promise<T> {
    if (this.#closed)
      return Promise.reject(new MillraceError('UNAVAILABLE', 'The server is stopping: try again on another, or when it is back.'))
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, resolve: resolve as (value: unknown) => void, reject })
      if (this.#scheduled) return
      this.#scheduled = true
      setImmediate(() => this.#flush())
    })
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

  #flush(): void {
    const mutations = this.#waiting
    if (mutations.length === 0) {
      this.#scheduled = false
      return
    }
    const outcomes: Outcome[] = []
    try {
      this.#begin.run()
      // By index: a mutation may add others, which join.
      for (let i = 0; i < mutations.length; i++) outcomes.push(this.#runOne(mutations[i]!))
      this.#beforeCommit()
      this.#commit.run()
    } catch (cause) {
      this.#waiting = []
      this.#scheduled = false
      this.#abandon(mutations, cause)
      return
    }
    this.#waiting = []
    this.#scheduled = false
    this.#reverts = []
    const changes = this.#changes
    this.#changes = []
    const afterwards = this.#afterwards
    this.#afterwards = []
    for (let i = 0; i < outcomes.length; i++) {
      const outcome = outcomes[i]!
      if ('error' in outcome) mutations[i]!.reject(outcome.error)
      else mutations[i]!.resolve(outcome.value)
    }
    if (changes.length > 0) this.listener.changed(changes)
    for (const act of afterwards) act()
  }

  /** Commits what waits and takes nothing more. */
  close(): void {
    this.#closed = true
    this.#flush()
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
