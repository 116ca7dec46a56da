import { Account } from './account.ts'
import { ClientBase, contextOf } from './client-base.ts'
import { type Clock, systemClock } from './clock.ts'
import { Cluster, type ClusterHealth } from './cluster.ts'
import type { ClientContext } from './context.ts'
import { Database } from './databases/database.ts'
import { Databases } from './databases/databases.ts'
import { Keys } from './keys.ts'
import { Kv } from './kv/kv.ts'
import { KvStores } from './kv/kv-stores.ts'
import { Bucket } from './objects/bucket.ts'
import { Buckets } from './objects/buckets.ts'
import type { CallOptions, CompiledOptions } from './options.ts'
import { Pipelines } from './pipelines/pipelines.ts'
import { Queue } from './queues/queue.ts'
import { Queues } from './queues/queues.ts'
import { Schedules } from './schedules/schedules.ts'
import { Schemas } from './schemas.ts'
import { States } from './states.ts'
import { Stream } from './streams/stream.ts'
import { Streams } from './streams/streams.ts'
import { type AnyRow, Table } from './tables/table.ts'
import { Tables } from './tables/tables.ts'
import type { TableOptions } from './tables/types.ts'
import { Tasks } from './tasks/tasks.ts'
import { Tokens } from './tokens.ts'
import type { TransactionOptions, TransactionParts, TransactionResult } from './transactions/types.ts'
import { writeTransaction } from './transactions/write-transaction.ts'
import type { Transport } from './transport.ts'
import { VectorCollections } from './vectors/vector-collections.ts'
import { Vectors } from './vectors/vectors.ts'
import { Webhooks } from './webhooks.ts'

/** What every Millrace client has, whatever its transport. Makes no connection before the first call. */
export class MillraceBase extends ClientBase {
  readonly #context: ClientContext
  /** Submits units of work by function name and follows them to their end. */
  readonly tasks: Tasks
  /** Runs tasks that depend on each other. */
  readonly pipelines: Pipelines
  /** Tasks and jobs that are submitted at set times. */
  readonly schedules: Schedules
  /** What stateful tasks keep between executions. */
  readonly states: States
  /** The queues of the namespace. */
  readonly queues: Queues
  /** The streams of the namespace. */
  readonly streams: Streams
  /** The stores of keys and values of the namespace. */
  readonly kvStores: KvStores
  /** The analytical databases of the namespace. */
  readonly databases: Databases
  /** The tables of the namespace: functions, SQL, migrations and what there is. */
  readonly tables: Tables
  /** The collections of vectors of the namespace. */
  readonly vectorCollections: VectorCollections
  /** JSON Schemas of streams and queues. */
  readonly schemas: Schemas
  /** The buckets of the namespace. */
  readonly buckets: Buckets
  /** Where the ends of tasks, pipelines and queue jobs are told of over HTTP. */
  readonly webhooks: Webhooks
  /** API keys. */
  readonly keys: Keys
  /** Short-lived tokens. */
  readonly tokens: Tokens
  /** The limits of the client's key and its tenant. */
  readonly account: Account
  /** How the servers are. */
  readonly cluster: Cluster

  constructor(transport: Transport, options: CompiledOptions, clock: Clock = systemClock) {
    super(transport, options, clock)
    this.#context = contextOf(this)
    this.tasks = new Tasks(this.#context)
    this.pipelines = new Pipelines(this.#context)
    this.schedules = new Schedules(this.#context)
    this.states = new States(this.#context)
    this.queues = new Queues(this.#context)
    this.streams = new Streams(this.#context)
    this.kvStores = new KvStores(this.#context)
    this.databases = new Databases(this.#context)
    this.tables = new Tables(this.#context)
    this.vectorCollections = new VectorCollections(this.#context)
    this.schemas = new Schemas(this.#context)
    this.buckets = new Buckets(this.#context)
    this.webhooks = new Webhooks(this.#context)
    this.keys = new Keys(this.#context)
    this.tokens = new Tokens(this.#context)
    this.account = new Account(this.#context)
    this.cluster = new Cluster(this.#context)
  }

  /**
   * A queue by its name. Makes no call.
   *
   * @typeParam T - what its payloads are.
   */
  queue<T = unknown>(name: string): Queue<T> {
    return new Queue<T>(this.#context, name)
  }

  /**
   * An event stream by its name. Makes no call.
   *
   * @typeParam T - what its payloads are.
   */
  stream<T = unknown>(name: string): Stream<T> {
    return new Stream<T>(this.#context, name)
  }

  /**
   * A store of keys and values by its name. Makes no call.
   *
   * @typeParam T - what its values are.
   */
  kv<T = unknown>(name: string): Kv<T> {
    return new Kv<T>(this.#context, name)
  }

  /** A bucket of objects by its name. Makes no call. */
  bucket(name: string): Bucket {
    return new Bucket(this.#context, name)
  }

  /**
   * Writes to streams, adds jobs, changes keys and commits offsets at once: all of it, or, when one part is refused, none. A
   * consumer that writes what it makes of a message together with the message's commit makes it exactly once.
   *
   * @param parts - what to change.
   * @returns what became of each part, in order.
   * @throws ConflictError when a condition of a key does not hold, or a message's partition has gone to another subscription;
   * ValidationError, QuotaExceededError, and what any call may throw. `details.fields` says which part: `kv[1].key`.
   */
  writeTransaction(parts: TransactionParts, options?: TransactionOptions): Promise<TransactionResult> {
    return writeTransaction(this.#context, parts, options)
  }

  /** An analytical database by its name. Makes no call. */
  database(name: string): Database {
    return new Database(this.#context, name)
  }

  /**
   * A table or view of the namespace's Postgres, by its name. Makes no call.
   *
   * @typeParam T - what its rows are.
   */
  table<T extends object = AnyRow>(name: string, options?: TableOptions): Table<T> {
    return new Table<T>(this.#context, name, options)
  }

  /**
   * A collection of vectors by its name. Makes no call.
   *
   * @typeParam M - what the metadata of its items are.
   */
  vectors<M extends object = Record<string, unknown>>(name: string): Vectors<M> {
    return new Vectors<M>(this.#context, name)
  }

  /** How the server is; the same as `cluster.health()`. */
  health(call?: CallOptions): Promise<ClusterHealth> {
    return this.cluster.health(call)
  }
}
