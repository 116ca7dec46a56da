import type { ServerResponse } from 'node:http'
import type { Clock } from '../../clock.ts'

/** How often an idle stream shows that it lives, in milliseconds: below the shortest idle time of common proxies. */
export const heartbeatMs = 15_000

/** A stream of events that is open. */
class EventStream {
  readonly response: ServerResponse
  /** The reader has not taken what was written when the last heartbeat was due. */
  stalled = false

  constructor(response: ServerResponse) {
    this.response = response
  }

  /** Resolves when the reader has taken what was written, or is gone. */
  taken(): Promise<void> {
    const { response } = this
    if (!response.writableNeedDrain || response.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        response.off('drain', done)
        response.off('close', done)
        resolve()
      }
      response.on('drain', done)
      response.on('close', done)
    })
  }
}

/** Every open stream of events: one timer keeps all of them alive and ends those whose readers do not read. */
export class EventStreams {
  readonly #clock: Clock
  readonly #open = new Set<EventStream>()
  #cancelTimer: (() => void) | undefined

  /** @param clock - the time. */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size
  }

  /**
   * Begins a stream of server-sent events. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
   *
   * @param cacheControl - what caches may do with it.
   * @returns the stream; {@link EventStreams.forget} it at the end.
   */
  begin(response: ServerResponse, cacheControl = 'no-store'): EventStream {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': cacheControl,
      // Tells nginx and those who follow it not to gather what should arrive at once.
      'x-accel-buffering': 'no',
    })
    // When a server ends, its readers come again; not all at the same moment.
    response.write(`retry: ${1000 + Math.floor(Math.random() * 2000)}\n\n`)
    const stream = new EventStream(response)
    this.#open.add(stream)
    this.#cancelTimer ??= this.#clock.timer(heartbeatMs, () => this.#beat())
    return stream
  }

  /** Stops looking after a stream. */
  forget(stream: EventStream): void {
    this.#open.delete(stream)
    if (this.#open.size > 0) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #beat(): void {
    for (const stream of [...this.#open]) {
      const { response } = stream
      if (!response.writableNeedDrain) {
        stream.stalled = false
        response.write(':\n\n')
      } else if (stream.stalled) response.destroy()
      else stream.stalled = true
    }
    this.#cancelTimer = this.#open.size > 0 ? this.#clock.timer(heartbeatMs, () => this.#beat()) : undefined
  }
}

/** One event as it is written. `data` is one line. */
export function eventText(event: { readonly id?: string; readonly event?: string; readonly data: string }): string {
  const id = event.id === undefined ? '' : `id: ${event.id}\n`
  const name = event.event === undefined ? '' : `event: ${event.event}\n`
  return `${id}${name}data: ${event.data}\n\n`
}
