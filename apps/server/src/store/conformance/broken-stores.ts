import type { JobStore, QueueStore, Scope, Store } from '../ports.ts'
import type { StoreFactory } from './harness.ts'

/** A store with one fault, and the cases that must find it. */
export interface BrokenStore {
  readonly fault: string
  break(store: Store): Store
  readonly caughtBy: readonly string[]
}

const model = 'any history of calls, time and restarts agrees with the model'

/** Faults that a store may have; each must be caught by cases named here. */
export const brokenStores: readonly BrokenStore[] = [
  {
    fault: 'drops the fence: a settlement under any token passes for one under the current',
    break(store) {
      const tokens = new Map<number, number>()
      return withJobs(store, {
        async claim(request) {
          const claimed = await store.jobs.claim(request)
          for (const { seq, token } of claimed.flat()) tokens.set(seq, token)
          return claimed
        },
        settle(scope, items, now) {
          const current = items.map((item) => ({ ...item, token: tokens.get(item.seq) ?? item.token }))
          return store.jobs.settle(scope, current, now)
        },
      })
    },
    caughtBy: ['refuses every action under a token that is not current', 'settles each item of a call on its own', model],
  },
  {
    fault: 'forgets a delay: a scheduled job runs at once',
    break: (store) =>
      withJobs(store, {
        enqueue: (request) => store.jobs.enqueue({ ...request, jobs: request.jobs.map((job) => ({ ...job, runAt: undefined })) }),
      }),
    caughtBy: ['gives a scheduled job when its time has come, not before', 'keeps everything that was submitted', model],
  },
  {
    fault: 'forgets a limit on starts',
    break: (store) =>
      withJobs(store, {
        enqueue: (request) => store.jobs.enqueue({ ...request, jobs: request.jobs.map((job) => ({ ...job, rateLimit: undefined })) }),
      }),
    caughtBy: [
      'counts starts, not jobs that became ready: what waited for a worker does not start all at once',
      'whatever happens, no more than the limit start within any window, and none waits while there is room',
    ],
  },
  {
    fault: 'forgets that a job stands for several requests',
    break: (store) =>
      withJobs(store, {
        enqueue: (request) =>
          store.jobs.enqueue({ ...request, jobs: request.jobs.map((job) => ({ ...job, debounce: undefined, deduplicate: undefined })) }),
      }),
    caughtBy: [
      'a debounced job starts after the last trigger, with its payload; another key, queue or function is another job',
      'a repeat within the window is the first job, whatever has become of it; afterwards there is a new one',
      'any history of triggers: each is in a run that starts after it, no run starts before its delay, none later than the longest',
    ],
  },
  {
    fault: 'forgets by when jobs are to begin',
    break: (store) =>
      withJobs(store, {
        enqueue: (request) => store.jobs.enqueue({ ...request, jobs: request.jobs.map((job) => ({ ...job, startBefore: undefined })) }),
      }),
    caughtBy: ['one that is not begun in time ends as cancelled, says why, and makes room for those behind it'],
  },
  {
    fault: 'forgets whose turn it is',
    break: (store) =>
      withJobs(store, {
        enqueue: (request) => store.jobs.enqueue({ ...request, jobs: request.jobs.map((job) => ({ ...job, fairKey: undefined })) }),
      }),
    caughtBy: [
      'keys take turns, however many jobs one has; each in the order of priority, then age',
      'with more keys than a round holds, each is served before any is served twice',
    ],
  },
  {
    fault: 'forgets a backoff: a failed job is tried again at once',
    break: (store) =>
      withJobs(store, {
        settle(scope, items, now) {
          const impatient = items.map((item) => (item.action.type === 'fail' ? { ...item, action: { ...item.action, delayMs: 0 } } : item))
          return store.jobs.settle(scope, impatient, now)
        },
      }),
    caughtBy: ['tries a failed job again after its backoff, and keeps it as a dead letter after its last attempt', model],
  },
  {
    fault: 'reorders: of jobs claimed together, the newest comes first',
    break: (store) =>
      withJobs(store, {
        claim: async (request) => (await store.jobs.claim(request)).map((jobs) => [...jobs].reverse()),
      }),
    caughtBy: ['gives higher priorities first, then older jobs', 'draws from the functions asked for alone, in the order of all', model],
  },
  {
    fault: 'loses a commit: the last job added is gone after a restart',
    break(store) {
      let last: { readonly scope: Scope; readonly seq: number; readonly now: number } | undefined
      return override(
        withJobs(store, {
          async enqueue(request) {
            const result = await store.jobs.enqueue(request)
            const made = result.outcomes.findLast((outcome) => 'seq' in outcome && outcome.created)
            if (made && 'seq' in made) last = { scope: request.scope, seq: made.seq, now: request.now }
            return result
          },
        }),
        {
          async close() {
            if (last) await remove(store, last).catch(() => undefined)
            await store.close()
          },
        },
      )
    },
    caughtBy: ['keeps everything that was submitted', 'counts jobs by state, the same after a restart', model],
  },
  {
    fault: 'loses a commit: a completion is answered and not kept',
    break: (store) =>
      withJobs(store, {
        settle(scope, items, now) {
          const kept = items.filter(({ action }) => action.type !== 'complete')
          return kept.length < items.length ? Promise.resolve(items.map(() => ({}))) : store.jobs.settle(scope, items, now)
        },
      }),
    caughtBy: ['completes with a result of any size', 'counts jobs by state, the same after a restart', model],
  },
  {
    fault: 'asks for no proof: a job of an attested lane is completed without one',
    break: (store) =>
      withJobs(store, {
        settle(scope, items, now) {
          const trusted = items.map((item) =>
            item.action.type === 'complete' ? { ...item, action: { ...item.action, proven: true } } : item,
          )
          return store.jobs.settle(scope, trusted, now)
        },
      }),
    caughtBy: ['completes jobs of attested lanes with a proof alone'],
  },
  {
    fault: 'ignores the tenant: everybody sees and changes what the first one has',
    break(store) {
      let first: number | undefined
      const anybody = (scope: Scope): Scope => ({ ...scope, tenant: first ?? scope.tenant })
      const keys = override(store.keys, {
        async tenant(name, now) {
          const tenant = await store.keys.tenant(name, now)
          first ??= tenant
          return tenant
        },
      })
      return override(store, { keys, jobs: inScope(store.jobs, anybody), queues: inScope(store.queues, anybody) })
    },
    caughtBy: [
      'hides jobs from other tenants and namespaces in every read and change',
      'refuses settlements from another tenant or namespace',
      'gives nothing of another tenant or namespace',
    ],
  },
]

/** Stores of a kind, with a fault. */
export function broken(factory: StoreFactory, fault: (store: Store) => Store): StoreFactory {
  return {
    missing: factory.missing,
    async open(options) {
      const { store, reopen, discard } = await factory.open(options)
      return { store: fault(store), reopen: async () => fault(await reopen()), discard }
    },
  }
}

function withJobs(store: Store, changes: Partial<JobStore>): Store {
  return override(store, { jobs: override(store.jobs, changes) })
}

/** Deletes a job that was never begun, with what belongs to it. */
async function remove(store: Store, { scope, seq, now }: { scope: Scope; seq: number; now: number }): Promise<void> {
  await store.jobs.cancel(scope, seq, '', now)
  const forever = 1e12
  await store.jobs.sweep({ completedMs: forever, failedMs: forever, cancelledMs: -1, requestsMs: forever }, now, 1000)
}

/** The same, but for what is changed. */
export function override<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(name in changes ? changes : target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The same, with the scope of each call replaced, whether it stands first or in a request. */
function inScope<T extends JobStore | QueueStore>(target: T, change: (scope: Scope) => Scope): T {
  const isScope = (value: unknown): value is Scope =>
    typeof value === 'object' && value !== null && 'tenant' in value && 'namespace' in value
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...[first, ...rest]: [unknown, ...unknown[]]) => {
        const request = isScope(first) ? change(first) : hasScope(first) ? { ...first, scope: change(first.scope) } : first
        return value.call(target, request, ...rest)
      }
    },
  })
}

function hasScope(value: unknown): value is { readonly scope: Scope } {
  return typeof value === 'object' && value !== null && 'scope' in value
}
