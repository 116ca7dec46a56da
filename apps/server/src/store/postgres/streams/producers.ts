import { lookedAt, type ProducerState, producersKeptMs } from '../../stream-producers.ts'
import { numbers, texts } from '../arrays.ts'
import type { Transaction } from '../database.ts'

const find = `
  SELECT p.stream, p.producer, p.epoch, p.seq, p.answers FROM unnest($1::int[], $2::int[], $3::text[]) AS i (tenant, stream, producer)
  JOIN millrace.stream_producers p ON p.tenant = i.tenant AND p.stream = i.stream AND p.producer = i.producer`
const put = `
  INSERT INTO millrace.stream_producers (tenant, stream, producer, epoch, seq, answers, updated_at)
  SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[])
  ON CONFLICT (tenant, stream, producer) DO UPDATE
  SET epoch = excluded.epoch, seq = excluded.seq, answers = excluded.answers, updated_at = excluded.updated_at`
const others = `SELECT o.producer FROM millrace.stream_producers o WHERE o.tenant = i.tenant AND o.stream = i.stream`
/** Makes room for new ones, if others are not needed any more. */
const forget = `
  DELETE FROM millrace.stream_producers p USING unnest($1::int[], $2::int[], $3::text[], $4::bigint[]) AS i (tenant, stream, producer, before)
  WHERE p.tenant = i.tenant AND p.stream = i.stream AND p.updated_at <= i.before AND p.producer IN (
    (${others} AND o.producer > i.producer ORDER BY o.producer LIMIT ${lookedAt}) UNION (${others} ORDER BY o.producer LIMIT ${lookedAt}))`

/** A stream whose row the transaction holds. */
interface Held {
  readonly tenant: number
  readonly stream: number
}
interface Changed extends Held {
  readonly id: string
  readonly state: ProducerState
  readonly now: number
}

/** What is kept of the producers of one transaction, whose streams are held. */
export class Producers {
  readonly #known: Map<string, ProducerState>
  readonly #found: ReadonlySet<string>
  readonly #changed = new Map<string, Changed>()

  private constructor(known: Map<string, ProducerState>) {
    this.#known = known
    this.#found = new Set(known.keys())
  }

  static async read(transaction: Transaction, wanted: readonly { readonly stream: Held; readonly id: string }[]): Promise<Producers> {
    const each = [...new Map(wanted.map((one) => [keyOf(one.stream, one.id), one])).values()]
    type Found = ProducerState & { readonly stream: number; readonly producer: string }
    const found = await transaction.query<Found>(find, [
      numbers(each.map(({ stream }) => stream.tenant)),
      numbers(each.map(({ stream }) => stream.stream)),
      texts(each.map(({ id }) => id)),
    ])
    return new Producers(new Map(found.map(({ producer, ...row }) => [keyOf(row, producer), row])))
  }

  /** The producer, when it has written. */
  find(stream: Held, id: string): ProducerState | undefined {
    return this.#known.get(keyOf(stream, id))
  }

  /** Until {@link Producers.store}, it is known here alone. */
  put({ tenant, stream }: Held, id: string, state: ProducerState, now: number): void {
    const key = keyOf({ stream }, id)
    this.#known.set(key, state)
    this.#changed.set(key, { tenant, stream, id, state, now })
  }

  async store(transaction: Transaction): Promise<void> {
    const all = [...this.#changed.values()]
    if (all.length === 0) return
    const added = all.filter(({ id, ...stream }) => !this.#found.has(keyOf(stream, id)))
    if (added.length > 0) {
      await transaction.query(forget, [
        numbers(added.map(({ tenant }) => tenant)),
        numbers(added.map(({ stream }) => stream)),
        texts(added.map(({ id }) => id)),
        numbers(added.map(({ now }) => now - producersKeptMs)),
      ])
    }
    await transaction.query(put, [
      numbers(all.map(({ tenant }) => tenant)),
      numbers(all.map(({ stream }) => stream)),
      texts(all.map(({ id }) => id)),
      numbers(all.map(({ state }) => state.epoch)),
      numbers(all.map(({ state }) => state.seq)),
      texts(all.map(({ state }) => state.answers)),
      numbers(all.map(({ now }) => now)),
    ])
  }
}

function keyOf({ stream }: { readonly stream: number }, id: string): string {
  return `${stream} ${id}`
}
