import { MillraceError } from '../../errors.ts'

/** A caller's change, waiting for its batch. */
export interface Pending<Request, Result> {
  readonly request: Request
  resolve(result: Result): void
  reject(error: unknown): void
}

/** How a pipeline works. */
export interface PipelineOptions<Request, Result> {
  /** Carries out a batch in few statements and settles each of its members; what it throws fails those not settled. `lane` tells batches under way apart. */
  run(batch: readonly Pending<Request, Result>[], lane: number): Promise<void>
  /** What a request adds to its batch. */
  weigh(request: Request): number
  /** A batch is closed at this weight. */
  readonly most: number
  /** Batches under way at once. With more than one, changes asked for one after the other may happen in another order. */
  readonly width: number
}

/**
 * Group commit: changes of one kind asked for while others are under way travel together, in few statements and one
 * commit. The load sets the size of the batches: one call alone goes at once.
 */
export class Pipeline<Request, Result> {
  readonly #options: PipelineOptions<Request, Result>
  readonly #free: number[]
  #waiting: Pending<Request, Result>[] = []
  #scheduled = false
  #closed = false
  #idle: (() => void)[] = []

  constructor(options: PipelineOptions<Request, Result>) {
    this.#options = options
    this.#free = Array.from({ length: options.width }, (_, lane) => lane)
  }

  add(request: Request): Promise<Result> {
    if (this.#closed)
      return Promise.reject(new MillraceError('UNAVAILABLE', 'The server is stopping: try again on another, or when it is back.'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject })
      this.#schedule()
    })
  }

  /** True when nothing waits or is under way. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#free.length === this.#options.width
  }

  /** Takes nothing more; resolves when what was asked for is settled. */
  close(): Promise<void> {
    this.#closed = true
    return this.idle ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  /** At the end of the turn, so that all that is asked for in it goes together. */
  #schedule(): void {
    if (this.#scheduled || this.#free.length === 0 || this.#waiting.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#start()
    })
  }

  #start(): void {
    const lane = this.#free.pop()
    if (lane === undefined) return
    void this.#run(this.#next(), lane).then(() => {
      this.#free.push(lane)
      this.#schedule()
      if (this.idle) for (const resolve of this.#idle.splice(0)) resolve()
    })
    this.#schedule()
  }

  #next(): Pending<Request, Result>[] {
    const { weigh, most } = this.#options
    let weight = 0
    let count = 0
    while (count < this.#waiting.length && weight < most) weight += weigh(this.#waiting[count++]!.request)
    if (count === this.#waiting.length) {
      const all = this.#waiting
      this.#waiting = []
      return all
    }
    return this.#waiting.splice(0, count)
  }

  async #run(batch: readonly Pending<Request, Result>[], lane: number): Promise<void> {
    try {
      await this.#options.run(batch, lane)
    } catch (error) {
      // A fault of the storage is everybody's. Any other is one member's, and must not be its neighbours'.
      if (batch.length === 1 || error instanceof MillraceError) for (const member of batch) member.reject(error)
      else for (const member of batch) await this.#run([member], lane)
    }
  }
}
