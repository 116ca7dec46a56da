import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { lookedAt, type ProducerState, producersKeptMs } from '../../stream-producers.ts'
import type { StreamEntry } from './registry.ts'

/** What is kept of the producers of streams. */
export class Producers {
  readonly #find: StatementSync
  readonly #put: StatementSync
  readonly #forget: StatementSync

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT epoch, seq, answers FROM stream_producers WHERE tenant = ? AND stream = ? AND producer = ?')
    this.#put =
      db.prepare(`INSERT INTO stream_producers (tenant, stream, producer, epoch, seq, answers, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, answers = excluded.answers, updated_at = excluded.updated_at`)
    const others = 'SELECT producer FROM stream_producers WHERE tenant = ? AND stream = ?'
    this.#forget = db.prepare(`DELETE FROM stream_producers WHERE tenant = ? AND stream = ? AND updated_at <= ? AND producer IN (
        SELECT * FROM (${others} AND producer > ? ORDER BY producer LIMIT ?) UNION SELECT * FROM (${others} ORDER BY producer LIMIT ?))`)
  }

  /** The producer, when it has written and is remembered. */
  find({ tenant, number }: StreamEntry, id: string): ProducerState | undefined {
    const row = this.#find.get(tenant, number, id)
    return row && { epoch: Number(row.epoch), seq: Number(row.seq), answers: String(row.answers) }
  }

  /** Inside a mutation: makes room for a new one, if others are not needed any more. */
  forget({ tenant, number }: StreamEntry, id: string, now: number): void {
    this.#forget.run(tenant, number, now - producersKeptMs, tenant, number, id, lookedAt, tenant, number, lookedAt)
  }

  /** Inside a mutation. */
  put({ tenant, number }: StreamEntry, id: string, { epoch, seq, answers }: ProducerState, now: number): void {
    this.#put.run(tenant, number, id, epoch, seq, answers, now)
  }
}
