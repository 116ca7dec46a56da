import type { Clock } from '../../clock.ts'
import { notFound } from '../../errors.ts'
import type { ClaimedJob, NewJob, Retention, Scope, Seq, Store } from '../../store/ports.ts'
import { Dispatcher } from './dispatcher.ts'
import { Followers } from './followers.ts'
import { formatId } from './ids.ts'
import { LiveViews } from './live-views.ts'
import type { JobEngine } from './types.ts'
import { Upkeep } from './upkeep.ts'
import { Wakers } from './wakers.ts'

/** What a job engine is made of. */
export interface JobEngineOptions {
  readonly store: Store
  readonly clock: Clock
  readonly retention: Retention
  /** Told of failures nobody waits for: of timers, and of reads for followers. */
  readonly onError: (error: unknown) => void
}

/** Dead letters replayed or purged in one transaction. */
const chunk = 500

/** Makes the job engine over a store and starts its timers. */
export function createJobEngine({ store, clock, retention, onError }: JobEngineOptions): JobEngine {
  const { jobs, queues } = store
  const views = new LiveViews(clock)
  const upkeep = new Upkeep({ jobs, clock, retention, onError, swept: () => views.touchAll() })
  const followers = new Followers(store, onError)
  const wakers = new Wakers()
  const armLeases = (claimed: readonly ClaimedJob[]) => {
    for (const { leaseExpiresAt, deadline } of claimed) upkeep.dueAt(Math.min(leaseExpiresAt, deadline ?? Infinity))
  }
  const dispatcher = new Dispatcher(store, clock, armLeases)
  const connectedAt = new WeakMap<object, number>()

  store.listen({
    ready(lane) {
      dispatcher.ready(lane)
      views.touched(lane, lane.queue)
    },
    changed(changes) {
      for (const { dueAt } of changes) if (dueAt !== undefined) upkeep.dueAt(dueAt)
      dispatcher.changed(changes)
      followers.changed(changes)
      wakers.changed(changes)
      views.changed(changes)
    },
    due: (at) => upkeep.dueAt(at),
    missed() {
      upkeep.dueAt(clock.now())
      dispatcher.lookAgain().catch(onError)
      followers.lookAgain()
      wakers.wakeAll()
      views.touchAll()
    },
  })
  upkeep.start()

  /** Repeats a chunked change until nothing is left. */
  const untilDone = async (change: () => Promise<number>): Promise<number> => {
    let total = 0
    for (;;) {
      const count = await change()
      total += count
      if (count < chunk) return total
    }
  }

  function added(scope: Scope, jobs: readonly NewJob[]): void {
    for (const { runAt, startBefore } of jobs) {
      if (runAt !== undefined) upkeep.dueAt(runAt)
      if (startBefore !== undefined) upkeep.dueAt(startBefore)
    }
    // Jobs that wait for their time, or in a paused queue, make no lane ready.
    for (const queue of new Set(jobs.map((job) => job.queue))) views.touched(scope, queue)
  }

  return {
    async enqueue(scope, request) {
      const result = await jobs.enqueue({ ...request, scope, now: clock.now() })
      added(scope, request.jobs)
      return result
    },
    added,

    async receive({ scope, queue, max, leaseMs, waitMs, workerId, signal }) {
      const demand = { functions: [''], max, leaseMs, workerId }
      const [ready = []] = await jobs.claim({ scope, queue, now: clock.now(), demands: () => [demand] })
      armLeases(ready)
      if (ready.length > 0 || waitMs === 0) return ready
      return new Promise((resolve) => {
        const finish = (claimed: readonly ClaimedJob[]) => {
          signal.removeEventListener('abort', giveUp)
          stopWaiting()
          subscription.close()
          resolve(claimed)
        }
        const giveUp = () => finish([])
        const stopWaiting = clock.timer(waitMs, giveUp)
        const subscription = dispatcher.subscribe({ scope, queue, ...demand, maxInFlight: max, deliver: finish, revoke: () => undefined })
        signal.addEventListener('abort', giveUp)
        if (signal.aborted) giveUp()
      })
    },

    subscribe(options) {
      const subscription = dispatcher.subscribe(options)
      connectedAt.set(subscription, clock.now())
      return subscription
    },

    async settle(scope, items) {
      const settled = jobs.settle(scope, items, clock.now())
      dispatcher.settling(scope, items)
      const outcomes = await settled
      // A renewal may end a lease earlier than it would have ended.
      for (const { leaseExpiresAt } of outcomes) if (leaseExpiresAt !== undefined) upkeep.dueAt(leaseExpiresAt)
      return outcomes
    },

    follow: (scope, deliver) => followers.follow(scope, deliver),
    watch: (view, watcher) => views.watch(view, watcher),
    wakeOn: (seq, wake) => wakers.add(seq, wake),

    async get(scope, seq) {
      const record = await jobs.get(scope, seq)
      if (!record) throw notFound('job', formatId('job', seq))
      return record
    },
    getMany: (scope, seqs) => jobs.getMany(scope, seqs),
    list: (scope, filter, page) => jobs.list(scope, filter, page),
    cancel: (scope, seq, reason) => jobs.cancel(scope, seq, reason, clock.now()),
    retry: (scope, seq) => jobs.retry(scope, seq, clock.now()),
    logs: (scope, seq, page) => jobs.logs(scope, seq, page),

    listDead: (scope, queue, page) => jobs.listDead(scope, queue, page),
    async replayDead(scope: Scope, queue: string, which: Seq | 'all') {
      if (which === 'all') return untilDone(() => jobs.replayDead(scope, queue, chunk, clock.now()))
      const record = await jobs.get(scope, which)
      if (record?.queue !== queue) throw notFound('job', formatId('job', which))
      await jobs.retry(scope, which, clock.now())
      return 1
    },
    async purgeDead(scope, queue) {
      const purged = await untilDone(() => jobs.purgeDead(scope, queue, chunk))
      views.touched(scope, queue)
      return purged
    },

    queueSettings: (scope, queue) => queues.settings(scope, queue),
    updateQueue: (scope, queue, change) => queues.update(scope, queue, change, clock.now()),
    listQueues: (scope, page) => queues.list(scope, page),
    stats: (scope, queue) => queues.stats(scope, queue),
    depth: (tenant) => queues.depth(tenant),
    workers: (tenant) =>
      [...dispatcher.subscribers()]
        .filter((subscriber) => subscriber.options.scope.tenant === tenant && connectedAt.has(subscriber))
        .map((subscriber) => ({
          scope: subscriber.options.scope,
          workerId: subscriber.options.workerId,
          queue: subscriber.options.queue,
          functions: subscriber.options.functions,
          maxInFlight: subscriber.maxInFlight,
          inFlight: subscriber.inFlight,
          connectedAt: connectedAt.get(subscriber)!,
        })),

    async close() {
      views.close()
      await Promise.all([upkeep.close(), dispatcher.close()])
    },
  }
}
