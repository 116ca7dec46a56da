import type * as wire from '@millrace/protocol'
import { Outage } from '../calls/outage.ts'
import type { Clock } from '../clock.ts'
import type { ClientContext } from '../context.ts'
import type { MillraceError } from '../errors/errors.ts'
import { notFound } from '../errors/to-error.ts'
import type { CompiledOptions } from '../options.ts'
import type { Transport } from '../transport.ts'
import { isTerminalState } from '../wire.ts'
import type { FollowEvents, FollowedTask, FollowSource } from './follow-source.ts'

/** Somebody who follows a task. Must not throw. */
export interface FollowListener {
  /** The task's state: the present one first, then after changes. Nothing follows a terminal one. */
  update(update: wire.TaskUpdate): void
  /** There is no such task, or the server cannot be asked. Nothing follows. */
  fail(error: MillraceError): void
  /** Wait for the end alone. */
  readonly terminalOnly: boolean
  /** Stay through outages of any length, because the listener has a time limit of its own. */
  readonly patient: boolean
  /** The connection broke and is being opened again. */
  interrupted?(error: MillraceError): void
  /** It stands again. What changed meanwhile follows. */
  resumed?(): void
}

/** One followed task and everybody who follows it. */
interface Entry extends FollowedTask {
  terminalOnly: boolean
  revision: number
  last: wire.TaskUpdate | undefined
  readonly listeners: Set<FollowListener>
}

/** Makes the follower of a client's tasks. */
export function createFollower({ transport, options, clock }: ClientContext): TaskFollower {
  return new TaskFollower(transport, options, clock)
}

/** Follows tasks for everybody in this client over as few streams as the transport allows. */
export class TaskFollower implements FollowEvents {
  readonly #entries = new Map<string, Entry>()
  readonly #source: FollowSource
  readonly #options: CompiledOptions
  readonly #outage: Outage
  /** Why the server cannot be asked at the moment. */
  lastError: MillraceError | undefined
  #closed: MillraceError | undefined

  constructor(transport: Transport, options: CompiledOptions, clock: Clock) {
    this.#options = options
    this.#outage = new Outage(clock, options.credentials)
    this.#source = transport.follow(this, clock)
  }

  /** Follows a task. Returns what ends it. */
  follow(taskId: string, listener: FollowListener): () => void {
    if (this.#closed) {
      listener.fail(this.#closed)
      return () => undefined
    }
    const known = this.#entries.get(taskId)
    const entry: Entry = known ?? { taskId, terminalOnly: true, revision: -1, last: undefined, listeners: new Set() }
    entry.listeners.add(listener)
    if (!known || (entry.terminalOnly && !listener.terminalOnly)) {
      entry.terminalOnly = listener.terminalOnly
      this.#entries.set(taskId, entry)
      this.#source.add(entry)
    } else if (entry.last && !listener.terminalOnly) queueMicrotask(() => this.#repeat(entry, listener))
    return () => this.#leave(entry, listener)
  }

  /** Fails everybody, and those to come. */
  close(error: MillraceError): void {
    this.#closed = error
    this.#failAll(error)
    this.#source.close()
  }

  /** Tells a newcomer the present state. */
  #repeat(entry: Entry, listener: FollowListener): void {
    if (entry.last && entry.listeners.has(listener) && this.#entries.get(entry.taskId) === entry) listener.update(entry.last)
  }

  #leave(entry: Entry, listener: FollowListener): void {
    if (!entry.listeners.delete(listener) || entry.listeners.size > 0) return
    if (this.#entries.get(entry.taskId) !== entry) return
    this.#entries.delete(entry.taskId)
    this.#source.remove(entry.taskId)
  }

  followed(): Iterable<FollowedTask> {
    return this.#entries.values()
  }

  opening(): number {
    return this.#options.credentials.version
  }

  update(update: wire.TaskUpdate): void {
    const entry = this.#entries.get(update.taskId)
    if (!entry || update.revision <= entry.revision) return
    const terminal = isTerminalState(update.state)
    if (terminal) this.#entries.delete(entry.taskId)
    entry.revision = update.revision
    entry.last = update
    for (const listener of [...entry.listeners]) if (terminal || !listener.terminalOnly) listener.update(update)
  }

  missing(taskId: string): void {
    const entry = this.#entries.get(taskId)
    if (entry) this.#failEntry(entry, notFound('task', taskId))
  }

  #failEntry(entry: Entry, error: MillraceError): void {
    this.#entries.delete(entry.taskId)
    for (const listener of [...entry.listeners]) listener.fail(error)
  }

  #failAll(error: MillraceError): void {
    for (const entry of [...this.#entries.values()]) this.#failEntry(entry, error)
  }

  connected(): void {
    if (this.lastError) {
      this.lastError = undefined
      for (const { listeners } of this.#entries.values()) for (const listener of listeners) listener.resumed?.()
    }
    this.#outage.over()
  }

  /** Decides whether the stream is opened again: not for what will not mend by itself, nor for nobody. */
  broken(error: MillraceError, opened: number): number | undefined {
    const { logger, timeoutMs } = this.#options
    this.lastError = error
    if (!this.#outage.mends(error, opened)) this.#failAll(error)
    else if (this.#outage.lastsMs > timeoutMs) this.#failImpatient(error)
    if (this.#entries.size === 0) {
      this.lastError = undefined
      this.#outage.over()
      return undefined
    }
    const delay = this.#outage.next(error, opened)
    for (const { listeners } of this.#entries.values()) for (const listener of listeners) listener.interrupted?.(error)
    logger.warn(`Lost the stream of task updates; opening it again in ${Math.round(delay)} ms`, { error: error.message })
    return delay
  }

  #failImpatient(error: MillraceError): void {
    for (const entry of [...this.#entries.values()]) {
      for (const listener of [...entry.listeners]) {
        if (listener.patient) continue
        this.#leave(entry, listener)
        listener.fail(error)
      }
    }
  }
}
