import type * as wire from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { type UnavailableError, unavailable } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { DuplexCall, Transport } from '../transport.ts'
import type { FollowEvents, FollowedTask, FollowSource } from './follow-source.ts'

/** Ids in one request. */
const maxIds = 1000
/** How long a stream that follows nothing stays open. */
const lingerMs = 1000

/** Follows all tasks over one `FollowTasks` stream. Changes made together travel together. */
export class DuplexSource implements FollowSource {
  readonly #open: NonNullable<Transport['duplex']>
  readonly #events: FollowEvents
  readonly #clock: Clock
  #call: DuplexCall<wire.FollowTasksRequest> | undefined
  #cancelTimer: (() => void) | undefined
  #scheduled = false
  #closed = false
  readonly #removed = new Set<string>()
  readonly #added = new Map<string, boolean>()

  /** @param transport - has duplex calls. */
  constructor(transport: Transport, events: FollowEvents, clock: Clock) {
    this.#open = transport.duplex!.bind(transport)
    this.#events = events
    this.#clock = clock
  }

  add(task: FollowedTask): void {
    this.#added.set(task.taskId, task.terminalOnly)
    this.#schedule()
  }

  remove(taskId: string): void {
    this.#added.delete(taskId)
    this.#removed.add(taskId)
    this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#setTimer(undefined)
    this.#call?.cancel()
    this.#call = undefined
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      if (this.#closed) return
      if (this.#call) this.#flush()
      else if (!this.#cancelTimer) this.#connect()
    })
  }

  #connect(): void {
    this.#setTimer(undefined)
    const opened = this.#events.opening()
    const call = this.#open('TaskService/FollowTasks', {
      message: ({ updates, missing }) => {
        this.#events.connected()
        for (const update of updates) this.#events.update(update)
        for (const taskId of missing) this.#events.missing(taskId)
        this.#lingerIfIdle()
      },
      end: (error) => {
        if (this.#call !== call) return
        this.#call = undefined
        const delay = this.#events.broken(error ? errorFrom(error) : streamEnded(), opened)
        this.#setTimer(delay === undefined ? undefined : this.#clock.timer(delay, () => this.#connect()))
      },
    })
    this.#call = call
    this.#removed.clear()
    for (const { taskId, terminalOnly } of this.#events.followed()) this.#added.set(taskId, terminalOnly)
    this.#flush()
  }

  /** Removals go first: a task that was removed and added again shall answer with its present state. */
  #flush(): void {
    const call = this.#call
    if (!call) return
    for (const remove of chunks(this.#removed)) call.send({ add: [], remove, terminalOnly: false })
    this.#removed.clear()
    for (const terminalOnly of [false, true]) {
      const ids = [...this.#added].filter(([, terminal]) => terminal === terminalOnly).map(([id]) => id)
      for (const add of chunks(ids)) call.send({ add, remove: [], terminalOnly })
    }
    this.#added.clear()
    this.#lingerIfIdle()
  }

  #lingerIfIdle(): void {
    const idle = this.#added.size === 0 && isEmpty(this.#events.followed())
    if (!idle) this.#setTimer(undefined)
    else if (!this.#cancelTimer && this.#call) {
      this.#setTimer(
        this.#clock.timer(lingerMs, () => {
          this.#setTimer(undefined)
          this.#call?.cancel()
          this.#call = undefined
        }),
      )
    }
  }

  #setTimer(cancel: (() => void) | undefined): void {
    this.#cancelTimer?.()
    this.#cancelTimer = cancel
  }
}

function* chunks(ids: Iterable<string>): Iterable<string[]> {
  const all = [...ids]
  for (let i = 0; i < all.length; i += maxIds) yield all.slice(i, i + maxIds)
}

function isEmpty(items: Iterable<unknown>): boolean {
  return items[Symbol.iterator]().next().done === true
}

function streamEnded(): UnavailableError {
  return unavailable('The server ended the stream of updates.')
}
