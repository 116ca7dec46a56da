import { randomUUID } from 'node:crypto'
import { MillraceError } from '../../errors.ts'
import { version } from '../../version.ts'
import type { Database, Statement } from './database.ts'
import { outdated, schemaVersion } from './schema.ts'
import { mostNodes, type Sequence } from './sequence.ts'
import type { SharedTime } from './shared-time.ts'

/** A server on this database. */
export interface NodeInfo {
  readonly slot: number
  readonly version: string
  readonly startedAt: number
  readonly seenAt: number
  /** It showed a sign of life in the last 20 seconds. */
  readonly active: boolean
}

const beatEveryMs = 2_000
/** A node not heard of for this long is taken for dead, and its slot may be taken. Postgres's clock decides. */
const deadAfter = "interval '20 seconds'"
/** A node not heard of for this long may have died with something untold: the others look for themselves. */
const quietMs = 5_000
const turnMs = 25
const mostTurns = 8
/** How far ahead of use ticks are reserved: 10 s of them, so that a few missed heartbeats hold nobody up. */
const ahead = 640_000

const take: Statement = {
  name: 'node_take',
  repeatable: false,
  text: `
    WITH free AS (
      SELECT s.slot FROM generate_series(0, ${mostNodes - 1}) AS s (slot) LEFT JOIN millrace.nodes n ON n.slot = s.slot
      WHERE n.owner IS NULL OR n.seen_at < clock_timestamp() - ${deadAfter}
      ORDER BY s.slot LIMIT 1
    )
    INSERT INTO millrace.nodes AS n (slot, owner, version, started_at, seen_at)
    SELECT slot, $1, $2, clock_timestamp(), clock_timestamp() FROM free
    ON CONFLICT (slot) DO UPDATE SET owner = excluded.owner, version = excluded.version, started_at = excluded.started_at, seen_at = excluded.seen_at
      WHERE n.owner IS NULL OR n.seen_at < clock_timestamp() - ${deadAfter}
    RETURNING slot, tick_limit, (SELECT coalesce(max(tick), 0) FROM millrace.nodes)`,
}

const beat: Statement = {
  name: 'node_beat',
  repeatable: true,
  text: `
    UPDATE millrace.nodes SET seen_at = clock_timestamp(), tick = greatest(tick, $3::bigint), tick_limit = greatest(tick_limit, $4::bigint)
    WHERE slot = $1 AND owner = $2
    RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint, tick_limit, (SELECT max(tick) FROM millrace.nodes),
      (SELECT coalesce(string_agg(owner, ' ' ORDER BY slot), '') FROM millrace.nodes WHERE owner <> $2 AND seen_at > clock_timestamp() - interval '${quietMs} ms'),
      (SELECT value FROM millrace.meta WHERE key = 'schema'), (SELECT value FROM millrace.meta WHERE key = 'works_with'),
      least((SELECT min(run_at) FROM millrace.jobs WHERE run_at IS NOT NULL), (SELECT min(due_at) FROM millrace.leases),
        (SELECT min(due_at) FROM millrace.gates WHERE due_at IS NOT NULL), (SELECT min(at) FROM millrace.expiries))`,
}

const leave: Statement = {
  name: 'node_leave',
  repeatable: true,
  text: 'UPDATE millrace.nodes SET owner = NULL, tick = $3, tick_limit = $3 WHERE slot = $1 AND owner = $2',
}

const list: Statement = {
  name: 'node_list',
  repeatable: true,
  text: `SELECT slot, version, (extract(epoch FROM started_at) * 1000)::bigint, (extract(epoch FROM seen_at) * 1000)::bigint,
      seen_at > clock_timestamp() - ${deadAfter}
    FROM millrace.nodes WHERE owner IS NOT NULL ORDER BY slot`,
}

/** SQL: how many servers use the database. */
export const activeNodes = `SELECT count(*) AS active FROM millrace.nodes WHERE owner IS NOT NULL AND seen_at > clock_timestamp() - ${deadAfter}`

/** What a node learns with its signs of life. */
export interface NodesHandler {
  /** Another node has died, or this one was away: something may have gone unsaid. */
  lost(): void
  /** When the next scheduled job or lease is due, also those of a node that does not live to see to them. */
  due(at: number): void
}

/** This server among the others: its slot, its sign of life, and who else is there. */
export class Nodes {
  readonly #db: Database
  readonly #sequence: Sequence
  readonly #time: SharedTime
  readonly #handler: NodesHandler
  readonly #owner = randomUUID()
  #others: readonly string[] = []
  /** When others said that they came, by their names: they may not be in what was read just before. */
  readonly #met = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #beatenAt = performance.now()

  /** @param time - told of Postgres's. */
  constructor(db: Database, sequence: Sequence, time: SharedTime, handler: NodesHandler) {
    this.#db = db
    this.#sequence = sequence
    this.#time = time
    this.#handler = handler
  }

  /** Nobody else is there, as far as is known. */
  get alone(): boolean {
    return this.#others.length === 0
  }

  /**
   * How long after its time this node sees to what is due, in milliseconds: the nodes take turns, so that the first has done
   * it when the others look. At the same moment they would lock the jobs from each other, and from claims, which pass over
   * what is locked. (A lease is seen to without a wait by the node that gave it.)
   */
  get turnMs(): number {
    return this.alone ? 0 : turnMs * (1 + (this.#sequence.slot % mostTurns))
  }

  /** Another node says that it is there. */
  met(owner: string): void {
    if (this.#others.includes(owner)) return
    this.#met.set(owner, performance.now())
    this.#others = [...this.#others, owner]
  }

  get owner(): string {
    return this.#owner
  }

  async start(): Promise<void> {
    await this.#take()
    await this.beat()
    this.#timer = setInterval(() => {
      // A failed one is made up for by the next; calls that need the store say what is wrong with it.
      this.beat().catch(() => undefined)
    }, beatEveryMs)
    this.#timer.unref()
  }

  /** Makes sure that this many numbers can be given. */
  async reserve(count: number): Promise<void> {
    while (!this.#sequence.has(count)) await this.beat()
  }

  /** A sign of life, with more ticks reserved. Rejects when nothing can be written. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async list(): Promise<readonly NodeInfo[]> {
    const rows = await this.#db.run<[number, string, number, number, boolean]>(list, [])
    return rows.map(([slot, version, startedAt, seenAt, active]) => ({ slot, version, startedAt, seenAt, active }))
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#beating?.catch(() => undefined)
    const { slot, last } = this.#sequence
    // What it cannot say any more the others see when they miss it.
    await this.#db.run(leave, [slot, this.#owner, last]).catch(() => undefined)
  }

  async #beat(): Promise<void> {
    const { slot, last, upcoming } = this.#sequence
    const asked = Date.now()
    const [row] = await this.#db.run<[number, number, number, string, number, number, number | null]>(beat, [
      slot,
      this.#owner,
      last,
      upcoming + ahead,
    ])
    // It was taken for dead, and another has the slot.
    if (!row) return this.#take()
    const [now, limit, seen, others, schema, worksWith, dueAt] = row
    // A newer server has changed the tables: without numbers this one soon neither takes jobs in nor gives them out.
    if (worksWith > schemaVersion) throw outdated(schema)
    this.#time.observe(now, asked, Date.now())
    this.#sequence.extend(limit)
    this.#sequence.observe(seen)
    this.#see(others === '' ? [] : others.split(' '))
    if (dueAt !== null) this.#handler.due(dueAt + this.turnMs)
    // For so long that the others may have stopped telling it news.
    if (performance.now() - this.#beatenAt > quietMs) this.#handler.lost()
    this.#beatenAt = performance.now()
  }

  #see(listed: readonly string[]): void {
    for (const [owner, at] of this.#met) if (listed.includes(owner) || performance.now() - at > 2 * beatEveryMs) this.#met.delete(owner)
    const alive = [...listed, ...this.#met.keys()]
    const died = this.#others.some((owner) => !alive.includes(owner))
    this.#others = alive
    if (died) this.#handler.lost()
  }

  async #take(): Promise<void> {
    for (let attempt = 0; attempt < mostNodes; attempt++) {
      // None when another node took the same slot at the same moment.
      const [row] = await this.#db.run<[number, number, number]>(take, [this.#owner, version])
      if (!row) continue
      const [slot, limit, seen] = row
      this.#sequence.begin(slot, Math.max(limit, seen), limit)
      return
    }
    throw new MillraceError('UNAVAILABLE', `There are ${mostNodes} servers on this database, which is the most there may be.`)
  }
}
