import type { EnqueueResult } from './ports.ts'

/** What a column of a section holds. `real` has the precision of 32 bits. */
export type Kind = 'number' | 'real' | 'boolean' | 'text' | 'bytes'

/** A value of a record. */
export type Value = number | string | boolean | Uint8Array | null

/** A record: its values in the order of its section's columns. */
export type Row = readonly Value[]

/** One kind of what a store keeps, in the form in which it is moved from store to store. */
export interface Section {
  readonly name: string
  /** Columns that name a record; records come in their order, texts by their bytes. */
  readonly key: readonly string[]
  readonly columns: Readonly<Record<string, Kind>>
}

/**
 * All that a store keeps, in the order in which it is loaded: what a record refers to comes before it. A section is a table of
 * its name with these columns in every adapter, unless the adapter says otherwise. What follows from other records (labels,
 * the places of payloads) is not in it.
 */
export const sections: readonly Section[] = [
  section('tenants', 'tenant', 'tenant name:text created_at token_secret:bytes'),
  section(
    'keys',
    'tenant seq',
    'tenant seq name:text hash:bytes hint:text scopes:text namespaces:text created_at expires_at revoked_at rate_limit',
  ),
  section('queues', 'tenant queue', 'tenant queue namespace:text name:text retry:text max_depth paused:boolean created_at'),
  section(
    'lanes',
    'tenant lane',
    'tenant lane queue function:text scheduled pending blocked running completed failed cancelled dead total',
  ),
  // A completed job has no timeout, retry policy, progress or time of its last change but its end: nothing asks for them.
  // `token` is that of a lease which its holder may still name. `lease_ms`, `lease_until` and `deadline` are a running job's.
  section(
    'jobs',
    'tenant seq',
    `tenant seq lane state priority attempts max_attempts revision timeout_ms token lease_ms lease_until deadline created_at
     updated_at run_at started_at finished_at batch progress:real worker:text message:text idempotency_key:text retry:text
     content_type:text headers:text labels:text result_type:text error:text payload:bytes result:bytes flow`,
  ),
  section(
    'flows',
    'tenant seq',
    `tenant seq gate:text line capacity place state_key:text initial:bytes initial_type:text state_ttl
     rate_gate:text rate_limit rate_ms rate_line fair_key:text fair_turn turn_gate:text stands:text`,
  ),
  section('gates', 'tenant gate', 'tenant gate:text inside due_at turn'),
  section('fair_keys', 'tenant gate key', 'tenant gate:text key:text turn'),
  section(
    'triggers',
    'tenant namespace queue function kind key',
    'tenant namespace:text queue:text function:text kind key:text seq first_at until',
  ),
  section('expiries', 'tenant seq', 'tenant seq at'),
  section('rate_places', 'tenant gate until seq', 'tenant gate:text until seq'),
  section('states', 'tenant namespace key', 'tenant namespace:text key:text data:bytes content_type:text revision updated_at expires_at'),
  section(
    'pipelines',
    'tenant seq',
    `tenant seq namespace:text name:text state go_on timeout_ms deadline created_at finished_at stage_count stages_left failed events
     reason:text`,
  ),
  section(
    'stages',
    'tenant pipeline stage',
    `tenant pipeline stage name:text state function:text task:text job waits failed dependencies:text dependents:text for_each list:bytes
     items items_left started_at finished_at error:text`,
  ),
  section('stage_jobs', 'tenant seq', 'tenant seq pipeline stage item'),
  section('stage_results', 'tenant pipeline stage item', 'tenant pipeline stage item data:bytes content_type:text'),
  section('pipeline_events', 'tenant pipeline event', 'tenant pipeline event stage state at error:text'),
  section('proofs', 'tenant seq', 'tenant seq namespace:text token data:bytes created_at'),
  section(
    'schedules',
    'tenant namespace name',
    `tenant namespace:text name:text spec:text payload:bytes paused revision next_at due_at last_at last_job created_at updated_at`,
  ),
  section('schedule_runs', 'tenant namespace name run', 'tenant namespace:text name:text run:text at manual submitted reason:text job'),
  section('logs', 'tenant seq line', 'tenant seq line timestamp level message:text fields:text'),
  section('idempotency', 'tenant queue key', 'tenant queue key:text seq hash:bytes'),
  // `outcome` is what `spellOutcome` writes.
  section('requests', 'tenant id', 'tenant id:text outcome:text created_at'),
  section('kv_stores', 'tenant store', 'tenant store namespace:text name:text history revision floor created_at'),
  section('kv', 'tenant store key', 'tenant store key:text revision type value:bytes content_type:text expires_at updated_at'),
  section(
    'kv_versions',
    'tenant store key revision',
    'tenant store key:text revision type value:bytes content_type:text expires_at updated_at',
  ),
  section(
    'streams',
    'tenant stream',
    `tenant stream namespace:text name:text max_age_ms max_bytes created_at content_type:text ttl_ms expires_at closed last_order:text
     source inherited fork_sub fork_depth gone compaction`,
  ),
  section('stream_partitions', 'tenant stream partition', 'tenant stream partition earliest next bytes written_at compacted'),
  section(
    'stream_chunks',
    'tenant stream partition first_offset',
    'tenant stream partition first_offset count written_at bytes data:bytes',
  ),
  section('stream_keys', 'tenant stream partition key', 'tenant stream partition key:text last_offset due_at'),
  section('stream_offsets', 'tenant stream member_group partition', 'tenant stream member_group:text partition committed updated_at'),
  section('stream_producers', 'tenant stream producer', 'tenant stream producer:text epoch seq answers:text updated_at'),
  section(
    'schemas',
    'tenant namespace name version',
    'tenant namespace:text name:text version definition:text compatibility:text created_at',
  ),
  section('schema_attachments', 'tenant namespace kind target', 'tenant namespace:text kind target:text name:text version attached_at'),
  section(
    'replays',
    'tenant namespace stream member_group',
    'tenant namespace:text stream:text member_group:text number ranges:text base_at state elapsed_ms since created_at',
  ),
  // After jobs and pipelines: adding those tells nobody.
  section(
    'webhooks',
    'tenant namespace name',
    `tenant namespace:text name:text url:text events functions:text queues:text secret:bytes old_secret:bytes old_until created_at
     disabled_at disabled_why:text failing_since`,
  ),
  section(
    'webhook_deliveries',
    'tenant namespace webhook seq revision',
    `tenant namespace:text webhook:text seq revision event at data:text state attempts next_at attempted_at code answer:text error:text`,
  ),
  section('buckets', 'tenant namespace name', 'tenant namespace:text name:text public_read tags:text lifecycle:text created_at'),
  section(
    'objects',
    'tenant namespace bucket key',
    `tenant namespace:text bucket:text key:text etag:text size content_type:text metadata:text blobs:text updated_at expires_at`,
  ),
  // The bytes themselves are the objects' backend's.
  section('object_blobs', 'tenant blob', 'tenant blob:text namespace:text size sha256:text refs collect_at'),
  section(
    'object_uploads',
    'tenant upload',
    'tenant upload:text namespace:text bucket:text key:text content_type:text metadata:text created_at expires_at',
  ),
  section('object_parts', 'tenant upload part', 'tenant upload:text part blob:text size sha256:text'),
  section('answers', 'tenant id', 'tenant id:text answer:text created_at'),
]

/** Declares a section: names apart by blanks; a column without a kind is a number. */
function section(name: string, key: string, columns: string): Section {
  const kinds = columns.split(/\s+/).map((column) => {
    const [name, kind = 'number'] = column.split(':')
    return [name, kind as Kind] as const
  })
  return { name, key: key.split(' '), columns: Object.fromEntries(kinds) }
}

/** What a remembered request's `outcome` is in its section: numbers of jobs, and whether the request made them. */
interface SpelledOutcome {
  readonly jobs: readonly (readonly [seq: number, created: boolean])[]
  readonly batch?: number
}

/** Writes what a request without errors was answered. */
export function spellOutcome({ outcomes, batch }: EnqueueResult): string {
  const jobs = outcomes.flatMap((outcome) => ('seq' in outcome ? [[outcome.seq, outcome.created] as const] : []))
  return JSON.stringify({ jobs, batch } satisfies SpelledOutcome)
}

/** Reads what {@link spellOutcome} wrote. */
export function readOutcome(text: string): EnqueueResult {
  const { jobs, batch } = JSON.parse(text) as SpelledOutcome
  return { outcomes: jobs.map(([seq, created]) => ({ seq, created })), batch }
}

/** Where a load stands. */
export interface LoadState {
  /** The archive being loaded. */
  readonly archive: number
  /** Records of it that are in the store, durably. */
  readonly records: number
}

/** A store that no server uses, opened to be copied from or to. Errors say what to do. */
export interface StoreArchive {
  /** Another after every use by a server. */
  stamp(): Promise<string>
  /** No number given so far is larger. */
  lastSeq(): Promise<number>
  /** About how many records there are. */
  estimate(section: Section): Promise<number>
  /** Records in order, those after the one with the key `after`. Memory does not grow with their number. */
  dump(section: Section, after?: Row): AsyncIterable<Row>

  /** The load under way, if there is one: while there is, no server starts on the store. */
  loading(): Promise<LoadState | undefined>
  /** Begins a load. Rejects with FAILED_PRECONDITION when there is anything in the store. */
  beginLoad(archive: number): Promise<void>
  /** Adds records, all or none, durably. `state` is where the load stood before. */
  load(section: Section, rows: readonly Row[], state: LoadState): Promise<void>
  /** Ends the load: numbers given from now on are larger than `lastSeq`, and servers may start. */
  endLoad(lastSeq: number): Promise<void>
  close(): Promise<void>
}
