import type { DatabaseSync } from 'node:sqlite'
import { ListCache } from '../flow/list-cache.ts'
import type { ChangeCause, JobState, Scope, Seq, StoreOptions, TenantId } from '../ports.ts'
import { Blobs } from './blobs.ts'
import { storageError } from './errors.ts'
import { Flow } from './flow.ts'
import { type LaneEntry, Lanes } from './lanes.ts'
import type { Log } from './log.ts'
import { Sequence } from './sequence.ts'
import { Writer } from './writer.ts'

/** What the parts of the SQLite store share. */
export class Context {
  readonly db: DatabaseSync
  readonly options: StoreOptions
  readonly lanes: Lanes
  readonly sequence: Sequence
  readonly blobs: Blobs
  readonly writer: Writer
  readonly flow: Flow
  /** Lists of results of stages. */
  readonly lists = new ListCache()
  readonly #beforeCommit: (() => void)[] = []

  /** @param log - of the database; absent when that is in memory. */
  constructor(db: DatabaseSync, options: StoreOptions, log: Log | undefined) {
    this.db = db
    this.options = options
    this.lanes = new Lanes(db, () => this.writer)
    this.sequence = new Sequence(db, options.now)
    this.blobs = new Blobs(db)
    this.flow = new Flow(db)
    this.writer = new Writer({
      db,
      sync: async () => log?.sync(),
      resync: () => log?.resync(),
      beforeCommit: () => {
        this.lanes.write()
        this.sequence.write()
        for (const write of this.#beforeCommit) write()
      },
    })
  }

  /** What else is to be written in each transaction before it is committed. */
  beforeCommit(write: () => void): void {
    this.#beforeCommit.push(write)
  }

  /** Reads, and answers when all that was seen is durable. A fault of the storage becomes the error a caller sees. */
  async read<T>(run: () => T): Promise<T> {
    try {
      const value = run()
      await this.writer.durable()
      return value
    } catch (error) {
      throw storageError(error)
    }
  }

  /** Inside a mutation: claims may find jobs in the lane. */
  ready(lane: LaneEntry): void {
    const { queue } = lane
    if (queue.paused || lane.counts.pending === 0) return
    this.writer.listener.ready({ tenant: queue.tenant, namespace: queue.namespace, queue: queue.name, function: lane.function })
  }

  /** Inside a mutation: the job is in another state, or its log or progress grew. */
  changed(tenant: TenantId, seq: Seq, state: JobState, cause: ChangeCause, dueAt?: number): void {
    this.writer.changed({ tenant, seq, state, cause, dueAt })
  }

  /** True when a lane is in the scope's namespace. (Rows are selected by tenant already.) */
  inScope(scope: Scope, lane: LaneEntry): boolean {
    return lane.queue.tenant === scope.tenant && lane.queue.namespace === scope.namespace
  }
}
