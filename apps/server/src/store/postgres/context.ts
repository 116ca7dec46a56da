import { ListCache } from '../flow/list-cache.ts'
import type { JobChange, Scope, StoreListener, StoreOptions } from '../ports.ts'
import { writerOf } from './counts.ts'
import type { Database } from './database.ts'
import { Handoff } from './handoff.ts'
import { firstOfEach, Heads, type ReadyLane } from './heads.ts'
import { Lanes } from './lanes.ts'
import { Nodes } from './nodes.ts'
import { Sequence } from './sequence.ts'
import { SharedTime } from './shared-time.ts'
import { Signals, type Topic, type TopicKind } from './signals.ts'
import { Vacuum } from './vacuum.ts'

/** What a committed change makes known. */
export interface News {
  /** Jobs that claims may now find; of several of a lane, the first counts. */
  readonly ready?: Iterable<ReadyLane>
  readonly changes?: readonly JobChange[]
  /** For the other nodes alone: here the callers know. */
  readonly elsewhere?: readonly JobChange[]
}

/** Who is told of topics of one kind. */
export interface TopicHandler {
  touched(topic: Topic): void
  /** Some may have gone unseen. */
  missed(): void
}

/** How often jobs are looked for that were passed by. */
const checkEveryMs = 10_000

/** What the parts of the Postgres store share. */
export class Context {
  readonly db: Database
  readonly options: StoreOptions
  readonly time: SharedTime
  readonly sequence: Sequence
  readonly nodes: Nodes
  readonly lanes: Lanes
  readonly heads = new Heads()
  readonly handoff: Handoff
  readonly signals: Signals
  readonly vacuum: Vacuum
  /** Lists of results of stages. */
  readonly lists = new ListCache()
  readonly #topics = new Map<TopicKind, TopicHandler>()
  #checking: NodeJS.Timeout | undefined
  listener: StoreListener = { ready() {}, changed() {} }

  constructor(db: Database, options: StoreOptions) {
    this.db = db
    db.watch({
      // What it kept from others, here and elsewhere, is free again.
      failed: () => {
        this.heads.forget()
        this.signals.tellToLook()
      },
      repeated: () => this.missed(),
    })
    this.options = options
    this.time = new SharedTime(options.now)
    this.sequence = new Sequence(this.time.now)
    this.lanes = new Lanes(db)
    this.nodes = new Nodes(db, this.sequence, this.time, {
      lost: () => this.missed(),
      due: (at) => this.listener.due?.(at),
    })
    this.vacuum = new Vacuum(db)
    this.handoff = new Handoff(this)
    this.signals = new Signals(db, this.lanes, this.nodes, {
      ready: (lanes) => this.#ready(lanes),
      changed: (changes) => {
        const { turnMs } = this.nodes
        this.listener.changed(changes.map((change) => (change.dueAt === undefined ? change : { ...change, dueAt: change.dueAt + turnMs })))
      },
      touched: (topic) => this.#topics.get(topic.kind)?.touched(topic),
      missed: () => this.missed(),
    })
  }

  /** Joins the other nodes. */
  async start(): Promise<void> {
    await this.nodes.start()
    await this.signals.start()
    this.#checking = setInterval(() => {
      // What it could not find, the next one will.
      this.heads
        .check(this.db)
        .then((passed) => this.#ready(passed))
        .catch(() => undefined)
    }, checkEveryMs)
    this.#checking.unref()
  }

  /** Leaves the other nodes. */
  async stop(): Promise<void> {
    clearInterval(this.#checking)
    await this.signals.stop()
    await this.vacuum.stop()
    await this.nodes.stop()
  }

  /** The number under which a kind of change counts now. */
  writer(kind: number): number {
    return writerOf(this.sequence.slot, kind)
  }

  /** After a commit: tells this node and the others. Resolves when this one is told. */
  async announce({ ready = [], changes = [], elsewhere = [] }: News): Promise<void> {
    const lanes = firstOfEach(ready)
    this.signals.tell({ ready: lanes, changes: elsewhere.length > 0 ? [...changes, ...elsewhere] : changes })
    if (changes.length > 0) this.listener.changed(changes)
    // What is committed is so, whether its lanes can be named now or not.
    if (lanes.length > 0) await this.#ready(lanes).catch(() => this.missed())
  }

  /** Sets who is told of the topics of a kind. */
  onTouch(kind: TopicKind, handler: TopicHandler): void {
    this.#topics.set(kind, handler)
  }

  /** After a commit: tells this node and the others that something changed. */
  touch(kind: TopicKind, { tenant, namespace }: Scope, name: string): void {
    const topic = { kind, tenant, namespace, name }
    this.signals.tell({ topic })
    this.#topics.get(kind)?.touched(topic)
  }

  /** After a commit: a queue's settings are others. */
  settingsChanged(scope: Scope, name: string): void {
    this.lanes.forget(scope, name)
    this.signals.tell({ queue: { ...scope, name } })
  }

  async #ready(ready: readonly ReadyLane[]): Promise<void> {
    for (const each of ready) this.heads.pending(each)
    for (const lane of await this.lanes.named(ready)) {
      if (!this.lanes.queue(lane, lane.queue)?.paused) this.listener.ready(lane)
    }
  }

  /** What was known may have changed unseen. */
  missed(): void {
    this.lanes.forgetAll()
    this.heads.forget()
    this.listener.missed?.()
    for (const handler of this.#topics.values()) handler.missed()
  }
}
