import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import { toInt, toText } from '../wire.ts'
import { fromJobInfo } from './convert.ts'
import type { JobInfo, ListOptions } from './types.ts'

/** The failed jobs of one queue: they stay until they are replayed, purged or expire. */
export class DeadLetters<T = unknown> {
  readonly #context: ClientContext
  readonly #queue: string

  /** @internal Use `queue.deadLetters`. */
  constructor(context: ClientContext, queue: string) {
    this.#context = context
    this.#queue = queue
  }

  /** Lists failed jobs, oldest first. */
  list(options: ListOptions = {}): List<JobInfo<T>> {
    return createList(async (cursor) => {
      const request = { queue: this.#queue, limit: toInt('limit', options.limit), cursor }
      const { jobs, nextCursor } = await this.#context.safe('QueueService/ListDeadLetters', request, options)
      return { items: jobs.map((job) => fromJobInfo<T>(job)), nextCursor }
    }, options.cursor)
  }

  /**
   * Makes failed jobs pending again, with fresh attempts.
   *
   * @param which - one job's id, or all of them.
   * @returns how many were replayed.
   */
  async replay(which: string | { readonly all: true }, call?: CallOptions): Promise<number> {
    if (typeof which !== 'string' && which?.all !== true) throw invalid('which', "give a job's id, or { all: true }.")
    const request = { queue: this.#queue, jobId: typeof which === 'string' ? which : '', all: typeof which !== 'string' }
    return (await this.#context.unsafe('QueueService/ReplayDeadLetters', request, call)).replayed
  }

  /**
   * Deletes failed jobs for good.
   *
   * @returns how many were deleted.
   */
  async purge(options: CallOptions & { readonly confirm: true }): Promise<number> {
    const request = { queue: toText('queue', this.#queue), confirm: options?.confirm === true }
    return (await this.#context.unsafe('QueueService/PurgeDeadLetters', request, options)).purged
  }
}
