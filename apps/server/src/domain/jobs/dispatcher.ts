import type { Clock } from '../../clock.ts'
import {
  type ClaimedJob,
  type Demand,
  type JobChange,
  JobState,
  type Lane,
  type Scope,
  type Seq,
  type SettleItem,
  type Store,
} from '../../store/ports.ts'
import type { Lease, SubscribeOptions, Subscription } from './types.ts'

/** Jobs claimed for one subscriber at a time: enough to share a commit, few enough to share the jobs. */
const mostPerClaim = 512

/** One subscriber's demand. */
class Subscriber implements Subscription {
  readonly options: SubscribeOptions
  /** Jobs delivered and not settled. Without their payloads: those are the worker's now. */
  readonly held = new Map<Seq, Lease>()
  /** Asked for by claims that have not come back. */
  reserved = 0
  closed = false
  /** A lease of its ran out: it hangs or is paused, and another may do better. */
  suspended = false
  #maxInFlight: number
  readonly #onChange: (subscriber: Subscriber) => void

  constructor(options: SubscribeOptions, onChange: (subscriber: Subscriber) => void) {
    this.options = options
    this.#maxInFlight = options.maxInFlight
    this.#onChange = onChange
  }

  get inFlight(): number {
    return this.held.size
  }

  get maxInFlight(): number {
    return this.#maxInFlight
  }

  get wants(): number {
    return this.closed || this.suspended ? 0 : Math.min(this.#maxInFlight - this.held.size - this.reserved, mostPerClaim)
  }

  setMaxInFlight(max: number): void {
    this.#maxInFlight = max
    this.#onChange(this)
  }

  alive(): void {
    if (!this.suspended) return
    this.suspended = false
    this.#onChange(this)
  }

  close(): void {
    this.closed = true
    this.#onChange(this)
  }
}

/** The subscribers of one queue. */
interface Demands {
  readonly scope: Scope
  readonly queue: string
  /** In turn: whoever was served goes to the end. */
  readonly subscribers: Set<Subscriber>
  /** A claim is asked for and not yet carried out; it will see everything that happens until then. */
  queued: boolean
  /** Something happened while all demand was reserved by claims under way; they may come back with less. */
  missed: boolean
}

/**
 * Brings ready jobs and subscribers together. There is no loop: a claim is made when jobs become ready, when a slot
 * becomes free, or when a subscriber comes; it joins the transaction of what caused it.
 */
export class Dispatcher {
  readonly #store: Store
  readonly #clock: Clock
  readonly #claimed: (jobs: readonly ClaimedJob[]) => void
  readonly #queues = new Map<string, Demands>()
  readonly #holders = new Map<Seq, Subscriber>()
  /** Claims, and releases of what they brought to nobody, that have not come back. */
  readonly #underWay = new Set<Promise<void>>()

  /** @param claimed - told of each claim's jobs once they are durable. */
  constructor(store: Store, clock: Clock, claimed: (jobs: readonly ClaimedJob[]) => void) {
    this.#store = store
    this.#clock = clock
    this.#claimed = claimed
  }

  subscribe(options: SubscribeOptions): Subscription {
    const key = queueKey(options.scope, options.queue)
    const known = this.#queues.get(key)
    const demands = known ?? { scope: options.scope, queue: options.queue, subscribers: new Set(), queued: false, missed: false }
    if (!known) this.#queues.set(key, demands)
    const subscriber = new Subscriber(options, () => {
      if (subscriber.closed) this.#remove(key, demands, subscriber)
      else this.#claim(demands)
    })
    demands.subscribers.add(subscriber)
    this.#claim(demands)
    return subscriber
  }

  /** Jobs of a lane are ready. */
  ready(lane: Lane): void {
    const demands = this.#queues.get(queueKey(lane, lane.queue))
    if (demands) this.#claim(demands)
  }

  /** Settlements are on their way: their slots are free for a claim that shares their commit. */
  settling(scope: Scope, items: readonly SettleItem[]): void {
    const freed = new Set<Demands>()
    for (const { seq, token, action } of items) {
      if (action.type !== 'complete' && action.type !== 'fail' && action.type !== 'release') continue
      const subscriber = this.#holders.get(seq)
      if (subscriber?.held.get(seq)?.token !== token || !sameScope(subscriber.options.scope, scope)) continue
      this.#drop(seq, subscriber)
      const demands = this.#queues.get(queueKey(subscriber.options.scope, subscriber.options.queue))
      if (demands) freed.add(demands)
    }
    for (const demands of freed) this.#claim(demands)
  }

  /** Jobs changed, durably: those no longer running free their slots, and their holders are told why. */
  changed(changes: readonly JobChange[]): void {
    for (const { seq, state, cause } of changes) {
      if (state === JobState.running) continue
      const subscriber = this.#holders.get(seq)
      if (!subscriber) continue
      const lease = subscriber.held.get(seq)!
      this.#drop(seq, subscriber)
      if (cause !== 'settled') subscriber.options.revoke([{ lease, cause }])
      if (cause === 'lease-expired') this.#suspend(subscriber)
      const demands = this.#queues.get(queueKey(subscriber.options.scope, subscriber.options.queue))
      if (demands) this.#claim(demands)
    }
  }

  /** Changes may have gone unseen: jobs that are ready, and jobs taken from their holders. */
  async lookAgain(): Promise<void> {
    for (const demands of this.#queues.values()) this.#claim(demands)
    for (const { options, held } of [...this.subscribers()]) {
      const records = await this.#store.jobs.getMany(options.scope, [...held.keys()])
      this.changed(
        records.map(({ seq, state }) => ({
          tenant: options.scope.tenant,
          seq,
          state,
          cause: state === JobState.cancelled ? 'cancelled' : 'lease-expired',
        })),
      )
    }
  }

  *subscribers(): Iterable<Subscriber> {
    for (const demands of this.#queues.values()) yield* demands.subscribers
  }

  /** Ends all demand; resolves when what claims under way bring has been given back. */
  async close(): Promise<void> {
    for (const subscriber of [...this.subscribers()]) subscriber.close()
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  #claim(demands: Demands): void {
    if (demands.queued) return
    demands.missed = !wanted(demands)
    if (demands.missed) return
    demands.queued = true
    const now = this.#clock.now()
    const takers: { subscriber: Subscriber; max: number }[] = []
    const claim = this.#store.jobs.claim({
      scope: demands.scope,
      queue: demands.queue,
      now,
      demands: () => {
        demands.queued = false
        return takersOf(demands, takers)
      },
    })
    this.#track(
      claim.then(
        (claims) => this.#deliver(demands, takers, claims),
        () => this.#claimFailed(demands, takers),
      ),
    )
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#underWay.delete(tracked))
    this.#underWay.add(tracked)
  }

  #deliver(demands: Demands, takers: readonly { subscriber: Subscriber; max: number }[], claims: readonly (readonly ClaimedJob[])[]): void {
    let more = demands.missed
    takers.forEach(({ subscriber, max }, index) => {
      const jobs = claims[index]!
      subscriber.reserved -= max
      if (jobs.length === 0) return
      this.#claimed(jobs)
      if (subscriber.closed) {
        this.#release(demands.scope, jobs)
        return
      }
      demands.subscribers.delete(subscriber)
      demands.subscribers.add(subscriber)
      for (const job of jobs) {
        subscriber.held.set(job.seq, { seq: job.seq, function: job.function, token: job.token })
        this.#holders.set(job.seq, subscriber)
      }
      subscriber.options.deliver(jobs)
      more = true
    })
    if (more) this.#claim(demands)
  }

  #suspend(subscriber: Subscriber): void {
    if (subscriber.suspended) return
    subscriber.suspended = true
    this.#clock.timer(subscriber.options.leaseMs, () => subscriber.alive())
  }

  /** The store cannot write now. The next change of any kind, or this timer, tries again. */
  #claimFailed(demands: Demands, takers: readonly { subscriber: Subscriber; max: number }[]): void {
    demands.queued = false
    for (const { subscriber, max } of takers) subscriber.reserved -= max
    this.#clock.timer(retryClaimMs, () => this.#claim(demands))
  }

  /** Nobody is there to take them. If this fails too, their leases run out. */
  #release(scope: Scope, jobs: readonly ClaimedJob[]): void {
    const items = jobs.map(({ seq, token }) => ({ seq, token, action: { type: 'release' } as const }))
    this.#track(
      this.#store.jobs.settle(scope, items, this.#clock.now()).then(
        () => undefined,
        () => undefined,
      ),
    )
  }

  #drop(seq: Seq, subscriber: Subscriber): void {
    this.#holders.delete(seq)
    subscriber.held.delete(seq)
  }

  #remove(key: string, demands: Demands, subscriber: Subscriber): void {
    demands.subscribers.delete(subscriber)
    for (const seq of subscriber.held.keys()) this.#holders.delete(seq)
    subscriber.held.clear()
    if (demands.subscribers.size === 0) this.#queues.delete(key)
  }
}

const retryClaimMs = 1000

function wanted(demands: Demands): boolean {
  for (const subscriber of demands.subscribers) if (subscriber.wants > 0) return true
  return false
}

function takersOf(demands: Demands, takers: { subscriber: Subscriber; max: number }[]): readonly Demand[] {
  const wants: Demand[] = []
  for (const subscriber of demands.subscribers) {
    const max = subscriber.wants
    if (max <= 0) continue
    subscriber.reserved += max
    takers.push({ subscriber, max })
    const { functions, leaseMs, workerId } = subscriber.options
    wants.push({ functions, leaseMs, workerId, max })
  }
  return wants
}

function queueKey({ tenant, namespace }: Scope, queue: string): string {
  return `${tenant} ${namespace} ${queue}`
}

function sameScope(a: Scope, b: Scope): boolean {
  return a.tenant === b.tenant && a.namespace === b.namespace
}
