import type pg from 'pg'
import type { ChangeCause, JobChange, JobState, Scope, Seq, TenantId } from '../ports.ts'
import { texts } from './arrays.ts'
import type { Database, Statement } from './database.ts'
import { firstOfEach, type ReadyLane } from './heads.ts'
import type { Lanes } from './lanes.ts'
import type { Nodes } from './nodes.ts'

const channel = 'millrace'
/** What a message may hold; Postgres takes less than 8000 bytes. */
const mostBytes = 7_800
/** Messages of one round; with more to tell, the others are told to look for themselves. */
const mostMessages = 64
/** Changes kept to be told. */
const mostChanges = 50_000
/** News is gathered this long, so that a stream of changes costs a few messages and not one each. */
const gatherMs = 4
/** The wait before the listening connection is made again. */
const reconnectMs = 1_000
/** After this time all others know of a node that came. */
const settleMs = 1_000
/** How often the others' work is looked at when nothing is heard of it: as a safety net, and when there is no way to listen. */
const lookEveryMs = 30_000
const lookWithoutListeningEveryMs = 500

const causes: readonly ChangeCause[] = ['settled', 'cancelled', 'timeout', 'lease-expired', 'other']

/** Things that others wait on by their name. */
export type TopicKind = 'kv' | 'stream' | 'group' | 'key' | 'schedule' | 'schema'

/** A thing that others wait on. */
export interface Topic extends Scope {
  readonly kind: TopicKind
  readonly name: string
}

/** What one message says; its names are short, as there is little room. */
interface Message {
  /** The sender, who does not listen to it. */
  readonly o: string
  /** Lanes that became ready. */
  readonly r?: readonly (readonly [TenantId, lane: number, rank: number, Seq])[]
  /** Jobs that changed. */
  readonly c?: readonly (readonly [TenantId, Seq, JobState, cause: number, dueAt?: number])[]
  /** Queues whose settings changed. */
  readonly q?: readonly (readonly [TenantId, namespace: string, name: string])[]
  /** Stores and streams that changed. */
  readonly t?: readonly (readonly [kind: TopicKind, TenantId, namespace: string, name: string])[]
  /** There is more to tell than fits: look at everything. */
  readonly all?: 1
}

const notify: Statement = {
  name: 'notify',
  repeatable: true,
  text: `SELECT pg_notify('${channel}', message) FROM unnest($1::text[]) AS m (message), set_config('synchronous_commit', 'off', true)`,
}

/** What a node is told of the others' work. */
export interface SignalHandler {
  ready(lanes: readonly ReadyLane[]): Promise<void>
  changed(changes: readonly JobChange[]): void
  touched(topic: Topic): void
  /** News may have been missed. */
  missed(): void
}

/**
 * Tells the other nodes what changed, and this one what they changed, by NOTIFY.
 *
 * Not inside the transactions that change: Postgres lets only one transaction at a time commit with a notification, its
 * fsync included, which would end group commit over nodes. News goes out a moment later, gathered, in transactions of its
 * own that wait for no disk. What a node could not tell any more is found by the others when they miss it.
 */
export class Signals {
  readonly #db: Database
  readonly #lanes: Lanes
  readonly #nodes: Nodes
  readonly #handler: SignalHandler
  #ready: ReadyLane[] = []
  #changes: JobChange[] = []
  #queues: (readonly [TenantId, string, string])[] = []
  /** As they stand in a message. */
  #topics = new Set<string>()
  #gathering = false
  /** There is more to tell than is known. */
  #all = false
  #client: pg.Client | undefined
  #look: NodeJS.Timeout | undefined
  #closed = false

  constructor(db: Database, lanes: Lanes, nodes: Nodes, handler: SignalHandler) {
    this.#db = db
    this.#lanes = lanes
    this.#nodes = nodes
    this.#handler = handler
  }

  /** Begins to listen, and says that this node is there. */
  async start(): Promise<void> {
    const listens = await this.#connect()
    this.#look = setInterval(() => this.#nodes.alone || this.#handler.missed(), listens ? lookEveryMs : lookWithoutListeningEveryMs)
    this.#look.unref()
    await this.#send([JSON.stringify({ o: this.#nodes.owner } satisfies Message)])
    // What others changed before they heard that.
    setTimeout(() => this.#closed || this.#handler.missed(), settleMs).unref()
  }

  /** After a commit: tells the others, when there are any. */
  tell(news: { ready?: readonly ReadyLane[]; changes?: readonly JobChange[]; queue?: Scope & { name: string }; topic?: Topic }): void {
    if (this.#nodes.alone || this.#closed) return
    if (news.ready) this.#ready.push(...news.ready)
    if (news.changes) this.#changes.push(...news.changes)
    if (this.#changes.length > mostChanges) {
      this.#changes = []
      this.#all = true
    }
    if (news.queue) this.#queues.push([news.queue.tenant, news.queue.namespace, news.queue.name])
    if (news.topic) this.#topics.add(JSON.stringify([news.topic.kind, news.topic.tenant, news.topic.namespace, news.topic.name]))
    this.#gather()
  }

  /** Tells the others that changes may go unsaid: of whatever this node had under way. */
  tellToLook(): void {
    if (this.#nodes.alone || this.#closed) return
    this.#all = true
    this.#gather(reconnectMs)
  }

  async stop(): Promise<void> {
    this.#closed = true
    clearInterval(this.#look)
    await this.#send(this.#messages()).catch(() => undefined)
    await this.#client?.end().catch(() => undefined)
  }

  #gather(afterMs = gatherMs): void {
    if (this.#gathering) return
    this.#gathering = true
    setTimeout(() => {
      this.#gathering = false
      this.#send(this.#messages()).catch(() => {
        // What could not be told is looked for, as soon as that can be told.
        this.#all = true
        if (!this.#closed) this.#gather(reconnectMs)
      })
    }, afterMs).unref()
  }

  async #send(messages: readonly string[]): Promise<void> {
    if (messages.length > 0) await this.#db.run(notify, [texts(messages)])
  }

  #messages(): string[] {
    const o = this.#nodes.owner
    const parts = [
      ...firstOfEach(this.#ready).map(({ tenant, lane, rank, seq }) => ['r', `[${tenant},${lane},${rank},${seq}]`] as const),
      ...this.#queues.map((queue) => ['q', JSON.stringify(queue)] as const),
      ...[...this.#topics].map((topic) => ['t', topic] as const),
      ...this.#changes.map(({ tenant, seq, state, cause, dueAt }) => {
        const due = dueAt === undefined ? '' : `,${dueAt}`
        return ['c', `[${tenant},${seq},${state},${causes.indexOf(cause)}${due}]`] as const
      }),
    ]
    this.#ready = []
    this.#queues = []
    this.#topics.clear()
    this.#changes = []
    const all = this.#all
    this.#all = false
    const messages: string[] = []
    let lists: Record<'r' | 'q' | 't' | 'c', string[]> = { r: [], q: [], t: [], c: [] }
    let size = 0
    const close = () => {
      if (size > 0) messages.push(`{"o":"${o}","r":[${lists.r}],"q":[${lists.q}],"t":[${lists.t}],"c":[${lists.c}]}`)
      lists = { r: [], q: [], t: [], c: [] }
      size = 0
    }
    for (const [kind, text] of parts) {
      const bytes = Buffer.byteLength(text) + 1
      if (size + bytes > mostBytes - 100) close()
      lists[kind].push(text)
      size += bytes
    }
    close()
    return all || messages.length > mostMessages ? [JSON.stringify({ o, all: 1 } satisfies Message)] : messages
  }

  /** False when there is no way to listen. */
  async #connect(): Promise<boolean> {
    const client = this.#db.listener()
    if (!client) return false
    client.on('notification', ({ payload }) => this.#receive(payload ?? ''))
    client.on('error', () => undefined)
    client.on('end', () => this.#reconnect(client))
    try {
      await client.connect()
      await client.query(`LISTEN ${channel}`)
    } catch (error) {
      await client.end().catch(() => undefined)
      throw this.#db.explain(error)
    }
    this.#client = client
    return true
  }

  #reconnect(ended: pg.Client): void {
    if (this.#closed || this.#client !== ended) return
    this.#client = undefined
    const again = () => {
      if (this.#closed) return
      this.#connect().then(
        () => this.#handler.missed(),
        () => setTimeout(again, reconnectMs).unref(),
      )
    }
    again()
  }

  #receive(payload: string): void {
    const message = JSON.parse(payload) as Message
    if (message.o === this.#nodes.owner) return
    this.#nodes.met(message.o)
    for (const [tenant, namespace, name] of message.q ?? []) this.#lanes.forget({ tenant, namespace }, name)
    for (const [kind, tenant, namespace, name] of message.t ?? []) this.#handler.touched({ kind, tenant, namespace, name })
    if (message.all) this.#handler.missed()
    if (message.c?.length) {
      this.#handler.changed(message.c.map(([tenant, seq, state, cause, dueAt]) => ({ tenant, seq, state, cause: causes[cause]!, dueAt })))
    }
    // Names that cannot be read now: the next look finds the jobs.
    if (message.r?.length)
      this.#handler.ready(message.r.map(([tenant, lane, rank, seq]) => ({ tenant, lane, rank, seq }))).catch(() => undefined)
  }
}
