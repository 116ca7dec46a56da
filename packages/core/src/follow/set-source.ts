import { sleep } from '../calls/sleep.ts'
import type { Clock } from '../clock.ts'
import { unavailable } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { Transport } from '../transport.ts'
import type { FollowEvents, FollowedTask, FollowSource } from './follow-source.ts'

/** Changes made within this time share a new stream. */
const gatherMs = 20
/** How long a stream that follows nothing stays open. */
const lingerMs = 1000

/**
 * Follows all tasks over one `FollowTaskSet` stream, for transports without duplex calls: browsers have few connections to
 * a server. A task that comes is followed over a new stream that takes the place of the old one; every stream begins with
 * the present states, so nothing is missed.
 */
export class SetSource implements FollowSource {
  readonly #transport: Transport
  readonly #events: FollowEvents
  readonly #clock: Clock
  #stream: AbortController | undefined
  #cancelTimer: (() => void) | undefined
  #scheduled = false
  #pausing = false
  #closed = false

  constructor(transport: Transport, events: FollowEvents, clock: Clock) {
    this.#transport = transport
    this.#events = events
    this.#clock = clock
  }

  add(_task: FollowedTask): void {
    // A stream that waits to be opened again asks for everything then.
    if (this.#pausing) return
    if (this.#stream) this.#in(gatherMs, () => this.#open())
    else if (!this.#scheduled) {
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        if (!this.#closed && !this.#stream && !isEmpty(this.#events.followed())) this.#open()
      })
    }
  }

  remove(): void {
    // What comes for a task that is followed no longer is passed over.
    if (isEmpty(this.#events.followed())) this.#in(lingerMs, () => this.#end())
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#end()
  }

  #in(ms: number, then: () => void): void {
    if (this.#closed) return
    this.#cancelTimer?.()
    this.#cancelTimer = this.#clock.timer(ms, () => {
      this.#cancelTimer = undefined
      then()
    })
  }

  #end(): void {
    this.#stream?.abort()
    this.#stream = undefined
    this.#pausing = false
  }

  #open(): void {
    this.#cancelTimer?.()
    this.#end()
    this.#stream = new AbortController()
    void this.#run(this.#stream)
  }

  async #run(stream: AbortController): Promise<void> {
    const { signal } = stream
    while (!signal.aborted) {
      const opened = this.#events.opening()
      try {
        const call = this.#transport.serverStream('TaskService/FollowTaskSet', this.#request(), { signal })
        for await (const { updates, missing } of call) {
          if (signal.aborted) return
          this.#events.connected()
          for (const update of updates) this.#events.update(update)
          for (const taskId of missing) this.#events.missing(taskId)
        }
        if (signal.aborted || isEmpty(this.#events.followed())) break
        throw unavailable('The server ended the stream of updates.')
      } catch (thrown) {
        if (signal.aborted) return
        const delay = this.#events.broken(errorFrom(thrown), opened)
        if (delay === undefined) break
        this.#pausing = true
        await sleep(this.#clock, delay, signal).catch(() => undefined)
        if (this.#stream === stream) this.#pausing = false
      }
    }
    if (this.#stream === stream) this.#stream = undefined
  }

  #request() {
    const tasks = [...this.#events.followed()]
    const ids = (terminal: boolean) => tasks.filter(({ terminalOnly }) => terminalOnly === terminal).map(({ taskId }) => taskId)
    return { taskIds: ids(false), terminalTaskIds: ids(true) }
  }
}

function isEmpty(items: Iterable<unknown>): boolean {
  return items[Symbol.iterator]().next().done === true
}
