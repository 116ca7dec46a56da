import { ManualClock } from '../../testing/manual-clock.ts'
import type { ClaimedJob, JobChange, Lane, NewJob, RetryPolicy, Scope, SettleAction, SettleOutcome, Store, StoreOptions } from '../ports.ts'

/** How a backend is put under test: opens an empty store; `reopen` opens the same storage again. */
export interface StoreFactory {
  /** Why this backend cannot run here; its cases are skipped with it. */
  readonly missing?: string
  open(options: StoreOptions): Promise<{ store: Store; reopen(): Promise<Store>; discard(): Promise<void> }>
}

/** One behaviour that every store has. */
export interface Case {
  readonly name: string
  run(test: Harness): Promise<void>
}

/** Backoff of a failed attempt under test: none of the domain's rules, only that the store asks. */
export const testBackoffMs = 1000

const retry: RetryPolicy = {
  maxAttempts: 3,
  initialBackoffMs: testBackoffMs,
  maxBackoffMs: 60_000,
  multiplier: 2,
  strategy: 'fixed',
  jitter: 0,
}

/** A store on a clock that stands still, with short ways to say what cases say often. */
export class Harness {
  readonly clock = new ManualClock()
  readonly ready: Lane[] = []
  readonly changes: JobChange[] = []
  store!: Store
  scope!: Scope
  /** The same names in another tenant, and in another namespace. */
  otherTenant!: Scope
  otherNamespace!: Scope
  #factory!: StoreFactory
  #opened!: Awaited<ReturnType<StoreFactory['open']>>

  static async open(factory: StoreFactory): Promise<Harness> {
    const harness = new Harness()
    harness.#factory = factory
    harness.#opened = await factory.open({
      planRetry: ({ attempt, maxAttempts, policy, now }) => (attempt < maxAttempts ? now + policy.initialBackoffMs : undefined),
      defaultRetry: retry,
      defaultMaxDepth: 1000,
      now: harness.clock.now,
    })
    harness.#listenTo(harness.#opened.store)
    const tenant = await harness.store.keys.tenant('one', harness.clock.now())
    harness.scope = { tenant, namespace: 'default' }
    harness.otherNamespace = { tenant, namespace: 'other' }
    harness.otherTenant = { tenant: await harness.store.keys.tenant('two', harness.clock.now()), namespace: 'default' }
    return harness
  }

  /** One more, on an empty store of the same kind; the caller closes it. */
  another(): Promise<Harness> {
    return Harness.open(this.#factory)
  }

  /** Closes the store and opens the same storage again. */
  async reopen(): Promise<void> {
    await this.store.close()
    this.#listenTo(await this.#opened.reopen())
  }

  async close(): Promise<void> {
    await this.store.close()
    await this.#opened.discard()
  }

  job(change: Partial<NewJob> = {}): NewJob {
    const payload = new TextEncoder().encode('{"n":1}')
    return {
      queue: 'q',
      function: '',
      payload,
      contentType: '',
      headers: {},
      labels: {},
      priority: 0,
      timeoutMs: 0,
      idempotencyKey: '',
      ...change,
    }
  }

  /** Adds jobs, all or none; returns their numbers. */
  async enqueue(...jobs: Partial<NewJob>[]): Promise<number[]> {
    const request = { scope: this.scope, jobs: jobs.map((job) => this.job(job)), requestId: '', partial: false, batch: false }
    const { outcomes } = await this.store.jobs.enqueue({ ...request, now: this.clock.now() })
    return outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : Number.NaN))
  }

  async claim(
    options: { scope?: Scope; queue?: string; functions?: string[]; max?: number; leaseMs?: number } = {},
  ): Promise<readonly ClaimedJob[]> {
    const { scope = this.scope, queue = 'q', functions = [''], max = 100, leaseMs = 30_000 } = options
    const demands = () => [{ functions, max, leaseMs, workerId: 'w' }]
    const [jobs] = await this.store.jobs.claim({ scope, queue, demands, now: this.clock.now() })
    return jobs!
  }

  async settle(job: { seq: number; token: number }, action: SettleAction, scope = this.scope): Promise<SettleOutcome> {
    const [outcome] = await this.store.jobs.settle(scope, [{ seq: job.seq, token: job.token, action }], this.clock.now())
    return outcome!
  }

  complete(job: { seq: number; token: number }, result = '1', scope = this.scope): Promise<SettleOutcome> {
    return this.settle(job, { type: 'complete', result: new TextEncoder().encode(result), contentType: '' }, scope)
  }

  fail(job: { seq: number; token: number }, options: { noRetry?: boolean; delayMs?: number } = {}): Promise<SettleOutcome> {
    const error = { message: 'no', code: 'E', stack: '' }
    return this.settle(job, { type: 'fail', error, noRetry: options.noRetry ?? false, delayMs: options.delayMs })
  }

  /** The state of a job, or undefined when it is not visible. */
  async state(seq: number, scope = this.scope): Promise<number | undefined> {
    return (await this.store.jobs.get(scope, seq))?.state
  }

  /** Carries out what is due now. */
  async tick(ms: number): Promise<void> {
    await this.clock.advance(ms)
    await this.store.jobs.promoteDue(this.clock.now(), 1000)
    await this.store.jobs.expireDue(this.clock.now(), 1000)
  }

  #listenTo(store: Store): void {
    this.store = store
    store.listen({ ready: (lane) => this.ready.push(lane), changed: (changes) => this.changes.push(...changes) })
  }
}
