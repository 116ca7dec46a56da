import type { Clock } from '../clock.ts'
import type { MillraceError } from '../errors/errors.ts'
import type { LiveSnapshot, Sink, Source } from './types.ts'

/** How long the subscription and its value are kept after the last listener left: it may come back, as in a remount. */
const lingerMs = 2000
/** How long a first value is waited for with no listener, as while a component is suspended. */
const longestFirstMs = 30_000

/** The snapshot of what nobody looks at. */
export const idle: LiveSnapshot<never> = Object.freeze({ state: 'idle', data: undefined, error: undefined })

/** One observed thing and all who look at it. */
export class Subject<T> {
  readonly #source: Source<T>
  readonly #clock: Clock
  readonly #forget: () => void
  readonly #listeners = new Set<{ readonly call: () => void }>()
  #snapshot: LiveSnapshot<T> = idle
  /** Set while the source runs. */
  #running: { stop: () => void } | undefined
  #holds = 0
  #cancelTimer: () => void = () => undefined
  #first: { readonly promise: Promise<void>; settle(): void } | undefined

  /** @param forget - called when nobody looks any more. */
  constructor(source: Source<T>, clock: Clock, forget: () => void) {
    this.#source = source
    this.#clock = clock
    this.#forget = forget
  }

  get snapshot(): LiveSnapshot<T> {
    return this.#snapshot
  }

  subscribe(listener: () => void): () => void {
    const entry = { call: listener }
    this.#listeners.add(entry)
    const release = this.#hold()
    return () => {
      if (this.#listeners.delete(entry)) release()
    }
  }

  first(): Promise<void> | undefined {
    if (hasNews(this.#snapshot)) return undefined
    if (this.#first) return this.#first.promise
    let resolve = (): void => undefined
    const promise = new Promise<void>((done) => {
      resolve = done
    })
    const settle = (): void => {
      this.#first = undefined
      giveUp()
      release()
      resolve()
    }
    const giveUp = this.#clock.timer(longestFirstMs, settle)
    this.#first = { promise, settle }
    const release = this.#hold()
    // The source may have answered at once.
    this.#settleFirst()
    return promise
  }

  retry(): void {
    const { state } = this.#snapshot
    if (state === 'error' || state === 'ended') this.#start()
  }

  /** Ends it for a reason. */
  fail(error: MillraceError): void {
    this.#stop()
    this.#set({ ...this.#snapshot, state: 'error', error })
  }

  #hold(): () => void {
    this.#holds++
    this.#cancelTimer()
    if (this.#snapshot.state === 'idle') this.#start()
    return () => {
      if (--this.#holds > 0) return
      this.#cancelTimer = this.#clock.timer(lingerMs, () => {
        this.#stop()
        this.#snapshot = idle
        this.#forget()
      })
    }
  }

  #start(): void {
    this.#stop()
    const running: { stop: () => void } = { stop: () => undefined }
    this.#running = running
    this.#set({ state: 'loading', data: this.#snapshot.data, error: undefined })
    const stop = this.#source(this.#sink(running))
    if (this.#running === running) running.stop = stop
    else stop()
  }

  #stop(): void {
    const running = this.#running
    this.#running = undefined
    running?.stop()
  }

  #sink(running: object): Sink<T> {
    const whileRunning =
      <A extends unknown[]>(act: (...args: A) => void) =>
      (...args: A): void => {
        if (this.#running === running) act(...args)
      }
    return {
      value: whileRunning((data) => this.#set({ state: 'live', data, error: undefined })),
      interrupted: whileRunning((error) => this.#set({ ...this.#snapshot, state: 'reconnecting', error })),
      resumed: whileRunning(() => {
        const { data } = this.#snapshot
        this.#set({ state: data === undefined ? 'loading' : 'live', data, error: undefined })
      }),
      fail: whileRunning((error) => this.fail(error)),
      end: whileRunning((data) => {
        this.#running = undefined
        this.#set({ state: 'ended', data, error: undefined })
      }),
    }
  }

  #set(snapshot: LiveSnapshot<T>): void {
    const { state, data, error } = this.#snapshot
    if (state === snapshot.state && data === snapshot.data && error === snapshot.error) return
    this.#snapshot = snapshot
    this.#settleFirst()
    for (const { call } of [...this.#listeners]) {
      try {
        call()
      } catch (thrown) {
        // As for an event's handler: it does not disturb the others.
        queueMicrotask(() => {
          throw thrown
        })
      }
    }
  }

  #settleFirst(): void {
    if (hasNews(this.#snapshot)) this.#first?.settle()
  }
}

/** True when there is something to show. */
function hasNews({ state, data }: LiveSnapshot<unknown>): boolean {
  return state === 'error' || state === 'ended' || data !== undefined
}
