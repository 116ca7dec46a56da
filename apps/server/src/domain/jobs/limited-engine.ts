import { notFound } from '../../errors.ts'
import type { EnqueueOutcome, JobFilter, JobRecord, Scope, Seq } from '../../store/ports.ts'
import { LimitedScope, type Touched } from '../keys/limited-scope.ts'
import { functionOfLane, lanesOf } from './attested.ts'
import { formatId } from './ids.ts'
import type { JobEngine } from './types.ts'

/**
 * The engine as callers may use it: a call in a {@link LimitedScope} touches what its token covers and nothing else; other
 * calls pass. Each method is here by name, so that a new one cannot be forgotten.
 */
export function limitEngine(engine: JobEngine): JobEngine {
  /** Refuses what would touch a queue, and some of its jobs, that the token does not cover. */
  const check = (scope: Scope, job: Touched, what: string): void => {
    if (scope instanceof LimitedScope && !scope.covers(job)) throw scope.refusal(what)
  }
  const checkQueue = (scope: Scope, queue: string, what: string): void => check(scope, { queue, function: '' }, what)

  /** A job outside of the token's reach is one that does not exist. */
  const find = async (scope: Scope, seq: Seq): Promise<JobRecord> => {
    const job = await engine.get(scope, seq)
    if (scope instanceof LimitedScope && !scope.covers(job)) throw notFound('job', formatId('job', seq))
    return job
  }
  const findMany = async (scope: Scope, seqs: readonly Seq[]): Promise<readonly JobRecord[]> => {
    const jobs = await engine.getMany(scope, seqs)
    return scope instanceof LimitedScope ? jobs.filter((job) => scope.covers(job)) : jobs
  }

  return {
    async enqueue(scope, request) {
      if (!(scope instanceof LimitedScope)) return engine.enqueue(scope, request)
      const covered = request.jobs.filter((job) => scope.covers(job))
      if (covered.length === request.jobs.length) return engine.enqueue(scope, request)
      const error = scope.refusal('submit this job')
      if (!request.partial) throw error
      const { outcomes, batch } = await engine.enqueue(scope, { ...request, jobs: covered })
      let next = 0
      return { batch, outcomes: request.jobs.map((job): EnqueueOutcome => (scope.covers(job) ? outcomes[next++]! : { error })) }
    },

    added: (scope, jobs) => engine.added(scope, jobs),

    async receive(options) {
      checkQueue(options.scope, options.queue, `take jobs of the queue '${options.queue}'`)
      return engine.receive(options)
    },

    subscribe(options) {
      const { scope, queue, functions } = options
      for (const name of functions) check(scope, { queue, function: name }, `take jobs of the queue '${queue}'`)
      return engine.subscribe(options)
    },

    async settle(scope, items) {
      if (!(scope instanceof LimitedScope)) return engine.settle(scope, items)
      const seqs = items.map(({ seq }) => seq)
      const covered = new Set((await findMany(scope, seqs)).map(({ seq }) => seq))
      const within = items.filter(({ seq }) => covered.has(seq))
      const outcomes = await engine.settle(scope, within)
      let next = 0
      return items.map(({ seq }) => (covered.has(seq) ? outcomes[next++]! : { error: notFound('job', formatId('job', seq)) }))
    },

    follow(scope, deliver) {
      const follower = engine.follow(scope, deliver)
      if (!(scope instanceof LimitedScope)) return follower
      return { ...follower, add: async (seq, options) => (await findMany(scope, [seq])).length > 0 && follower.add(seq, options) }
    },

    // What it shows is read through this engine.
    watch: (view, watcher) => engine.watch(view, watcher),
    wakeOn: (seq, wake) => engine.wakeOn(seq, wake),
    get: find,
    getMany: findMany,
    list(scope, filter, page) {
      return engine.list(scope, scope instanceof LimitedScope ? narrow(scope, filter) : filter, page)
    },
    async cancel(scope, seq, reason) {
      if (scope instanceof LimitedScope) await find(scope, seq)
      return engine.cancel(scope, seq, reason)
    },
    async retry(scope, seq) {
      if (scope instanceof LimitedScope) await find(scope, seq)
      return engine.retry(scope, seq)
    },
    async logs(scope, seq, page) {
      if (scope instanceof LimitedScope) await find(scope, seq)
      return engine.logs(scope, seq, page)
    },

    async listDead(scope, queue, page) {
      checkQueue(scope, queue, `read the queue '${queue}'`)
      return engine.listDead(scope, queue, page)
    },
    async replayDead(scope, queue, which) {
      checkQueue(scope, queue, `replay jobs of the queue '${queue}'`)
      return engine.replayDead(scope, queue, which)
    },
    async purgeDead(scope, queue) {
      checkQueue(scope, queue, `purge the queue '${queue}'`)
      return engine.purgeDead(scope, queue)
    },

    async queueSettings(scope, queue) {
      checkQueue(scope, queue, `read the queue '${queue}'`)
      return engine.queueSettings(scope, queue)
    },
    async updateQueue(scope, queue, change) {
      checkQueue(scope, queue, `change the queue '${queue}'`)
      return engine.updateQueue(scope, queue, change)
    },
    async listQueues(scope, page) {
      if (scope instanceof LimitedScope) throw scope.refusal('list queues')
      return engine.listQueues(scope, page)
    },
    async stats(scope, queue) {
      checkQueue(scope, queue, `read the queue '${queue}'`)
      return engine.stats(scope, queue)
    },
    depth: (tenant) => engine.depth(tenant),
    workers: (tenant) => engine.workers(tenant),
    close: () => engine.close(),
  }
}

/** A filter within the token's reach: what it does not say and the token leaves one choice of is filled in. */
function narrow(scope: LimitedScope, filter: JobFilter): JobFilter {
  const { tasks, queues, functions } = scope.resources
  const queue = filter.queue ?? only(queues)
  const names = filter.functions ?? (functions?.length === 1 ? lanesOf(functions[0]!) : undefined)
  const within =
    !tasks &&
    (!queues || (queue !== undefined && queues.includes(queue))) &&
    (!functions || (names?.every((name) => functions.includes(functionOfLane(name))) ?? false))
  if (!within) throw scope.refusal('list others. Say which queue and function to list')
  return { ...filter, queue, functions: names }
}

function only(names: readonly string[] | undefined): string | undefined {
  return names?.length === 1 ? names[0] : undefined
}
