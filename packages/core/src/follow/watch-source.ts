import { sleep } from '../calls/sleep.ts'
import type { Clock } from '../clock.ts'
import { NotFoundError, UnavailableError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { Transport } from '../transport.ts'
import { isTerminalState } from '../wire.ts'
import type { FollowEvents, FollowedTask, FollowSource } from './follow-source.ts'

/** Follows each task over a `WatchTask` stream of its own, for transports without duplex calls. */
export class WatchSource implements FollowSource {
  readonly #transport: Transport
  readonly #events: FollowEvents
  readonly #clock: Clock
  readonly #streams = new Map<string, AbortController>()

  constructor(transport: Transport, events: FollowEvents, clock: Clock) {
    this.#transport = transport
    this.#events = events
    this.#clock = clock
  }

  add(task: FollowedTask): void {
    this.remove(task.taskId)
    const controller = new AbortController()
    this.#streams.set(task.taskId, controller)
    void this.#watch(task, controller.signal)
  }

  remove(taskId: string): void {
    this.#streams.get(taskId)?.abort()
    this.#streams.delete(taskId)
  }

  close(): void {
    for (const controller of this.#streams.values()) controller.abort()
    this.#streams.clear()
  }

  async #watch({ taskId, revision }: FollowedTask, signal: AbortSignal): Promise<void> {
    let seen = revision
    while (!signal.aborted) {
      const opened = this.#events.opening()
      try {
        // The last state is asked for again: that it comes says that the stream stands.
        const request = { taskId, afterRevision: Math.max(seen - 1, 0) }
        for await (const { update } of this.#transport.serverStream('TaskService/WatchTask', request, { signal })) {
          this.#events.connected()
          if (signal.aborted) return
          if (!update) continue
          seen = update.revision
          this.#events.update(update)
          if (isTerminalState(update.state)) return
        }
        throw new UnavailableError({ reason: 'UNAVAILABLE', message: `The server ended the stream of updates of '${taskId}'.` })
      } catch (thrown) {
        if (signal.aborted) return
        const error = errorFrom(thrown)
        if (error instanceof NotFoundError) return this.#events.missing(taskId)
        const delay = this.#events.broken(error, opened)
        if (delay === undefined) return
        await sleep(this.#clock, delay, signal).catch(() => undefined)
      }
    }
  }
}
