import { Emitter } from '../emitter.ts'
import { AbortError, type MillraceError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { TaskFollower } from '../follow/task-follower.ts'
import { fromTaskUpdate } from './convert.ts'
import type { TaskUpdate } from './types.ts'

/** Events of a watch. After `completed`, `failed`, `cancelled` or `error` nothing follows. */
export interface TaskWatchEvents<R> {
  /** Any state, the terminal one included. */
  update: TaskUpdate<R>
  /** It ended with a result. */
  completed: TaskUpdate<R>
  /** It ended with an error after its last attempt. */
  failed: TaskUpdate<R>
  /** Somebody cancelled it. */
  cancelled: TaskUpdate<R>
  /** There is no such task, the server cannot be asked, or the signal ended the watch. */
  error: MillraceError
}

/** Updates that a slow reader may be behind; older ones are dropped, never the last one. */
const maxBehind = 64

/**
 * Live updates of one task: iterate it, or listen with `on`. It begins with the first of the two, with the task's
 * present state, and ends by itself after a terminal one. Breaks of the connection are mended.
 */
export class TaskWatch<R = unknown> implements AsyncIterable<TaskUpdate<R>> {
  readonly #follower: TaskFollower
  readonly #taskId: string
  readonly #signal: AbortSignal | undefined
  readonly #events = new Emitter<TaskWatchEvents<R>>()
  readonly #readers = new Set<Reader<R>>()
  #stop: (() => void) | undefined
  #ended: { readonly error?: MillraceError } | undefined
  readonly #onAbort = (): void => this.#fail(new AbortError(this.#signal?.reason))

  /** @internal Use `tasks.watch`. */
  constructor(follower: TaskFollower, taskId: string, signal: AbortSignal | undefined) {
    this.#follower = follower
    this.#taskId = taskId
    this.#signal = signal
  }

  /** Calls `fn` at each event of this name. */
  on<E extends keyof TaskWatchEvents<R>>(event: E, fn: (payload: TaskWatchEvents<R>[E]) => void): this {
    this.#events.on(event, fn)
    this.#start()
    return this
  }

  /** Stops calling `fn`. */
  off<E extends keyof TaskWatchEvents<R>>(event: E, fn: (payload: TaskWatchEvents<R>[E]) => void): this {
    this.#events.off(event, fn)
    return this
  }

  /** Ends the watch; the task goes on. Iterations end without an error. */
  close(): void {
    this.#end({})
  }

  [Symbol.asyncIterator](): AsyncIterator<TaskUpdate<R>, undefined> {
    const reader = new Reader<R>(() => {
      this.#readers.delete(reader)
      if (this.#readers.size === 0) this.close()
    })
    if (this.#ended) reader.end(this.#ended.error)
    else this.#readers.add(reader)
    this.#start()
    return reader
  }

  #start(): void {
    if (this.#stop || this.#ended) return
    if (this.#signal?.aborted) {
      this.#stop = () => undefined
      queueMicrotask(this.#onAbort) // So that a listener added with the next words hears it.
      return
    }
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#stop = this.#follower.follow(this.#taskId, {
      terminalOnly: false,
      patient: false,
      fail: (error) => this.#fail(error),
      update: (update) => {
        try {
          this.#update(fromTaskUpdate<R>(update))
        } catch (thrown) {
          this.#fail(errorFrom(thrown))
        }
      },
    })
  }

  #update(update: TaskUpdate<R>): void {
    for (const reader of this.#readers) reader.push(update)
    this.#events.emit('update', update)
    const { status } = update
    if (status !== 'completed' && status !== 'failed' && status !== 'cancelled') return
    this.#events.emit(status, update)
    this.#end({})
  }

  #fail(error: MillraceError): void {
    if (this.#ended) return
    this.#events.emit('error', error)
    this.#end({ error })
  }

  #end(ended: { readonly error?: MillraceError }): void {
    if (this.#ended) return
    this.#ended = ended
    this.#stop?.()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const reader of this.#readers) reader.end(ended.error)
    this.#readers.clear()
    this.#events.clear()
  }
}

/** One iteration of a watch. */
class Reader<R> implements AsyncIterator<TaskUpdate<R>, undefined> {
  readonly #buffer: TaskUpdate<R>[] = []
  readonly #onReturn: () => void
  #wake: (() => void) | undefined
  #ended: { readonly error?: MillraceError } | undefined

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn
  }

  push(update: TaskUpdate<R>): void {
    if (this.#buffer.push(update) > maxBehind) this.#buffer.shift()
    this.#wake?.()
  }

  end(error: MillraceError | undefined): void {
    this.#ended = { error }
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<TaskUpdate<R>, undefined>> {
    while (this.#buffer.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const value = this.#buffer.shift()
    if (value) return { value, done: false }
    const error = this.#ended?.error
    this.#ended = {} // An error is told once.
    if (error) throw error
    return { value: undefined, done: true }
  }

  async return(): Promise<IteratorResult<TaskUpdate<R>, undefined>> {
    this.#buffer.length = 0
    this.end(undefined)
    this.#onReturn()
    return { value: undefined, done: true }
  }
}
