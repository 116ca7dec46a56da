import type { JobContext, Millrace, Worker } from '@millrace/client'

/** What a faked function does: returns this, calls this, or throws this error. */
export type Fake = ((payload: unknown, ctx: JobContext) => unknown) | Error | null | string | number | boolean | object

/** A call that a fake worker got. */
export interface FakeCall {
  /** The task: `task_…`. */
  readonly id: string
  /** The function it asked for. */
  readonly function: string
  /** What it was called with. */
  readonly payload: unknown
  /** The number of the attempt, from 1. */
  readonly attempt: number
}

/** A handler keeps its task while the clock is moved by less than this. */
const lease = '12h'

/** A worker whose functions do what the test says, and that remembers what it was asked. */
export class FakeWorker {
  /** All it was asked, in order. */
  readonly calls: FakeCall[] = []
  readonly #worker: Worker

  /** @internal Use `server.fake`. */
  constructor(mr: Millrace, fakes: Readonly<Record<string, Fake>>, queue: string | undefined) {
    const names = Object.keys(fakes)
    const tasks = Object.fromEntries(names.map((name) => [name, this.#play(name, fakes[name]!)]))
    this.#worker = mr.worker({ tasks, signals: false, concurrency: 100, lease, ...(queue && { queue }) })
  }

  /** Those of one function. */
  callsOf(name: string): FakeCall[] {
    return this.calls.filter((call) => call.function === name)
  }

  /** Takes no more tasks. */
  stop(): Promise<void> {
    return this.#worker.stop({ drain: 0 })
  }

  /** @internal */
  start(): Promise<void> {
    return this.#worker.start()
  }

  #play(name: string, fake: Fake) {
    return (payload: unknown, ctx: JobContext): unknown => {
      this.calls.push({ id: ctx.id, function: name, payload, attempt: ctx.attempt })
      if (fake instanceof Error) throw fake
      return typeof fake === 'function' ? fake(payload, ctx) : fake
    }
  }
}
