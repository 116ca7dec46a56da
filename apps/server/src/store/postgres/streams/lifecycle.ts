import type { Scope } from '../../ports.ts'
import type { StreamCreateRequest, StreamState } from '../../stream-port.ts'
import { noStream } from '../../stream-rules.ts'
import { usedUntil } from '../../stream-traits.ts'
import { hasEnded, type StreamTraits } from '../../trait-port.ts'
import type { Context } from '../context.ts'
import type { Statement, Transaction } from '../database.ts'
import { namedState, type StateRow, stateColumns, stateOf } from './traits.ts'
import { storeMessages } from './write.ts'

const withFirst = `SELECT ${stateColumns} FROM millrace.streams s
    JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream AND p.partition = 0`
const named = 's.tenant = $1 AND s.namespace = $2 AND s.name = $3'
const state: Statement = { name: 'stream_state', repeatable: true, text: `${withFirst} WHERE ${named}` }
const ended: Statement = {
  name: 'stream_ended',
  repeatable: true,
  text: `SELECT s.tenant, s.namespace, s.name FROM millrace.streams s
    WHERE s.expires_at > 0 AND s.expires_at <= $1 AND s.name IS NOT NULL AND s.gone = 0 ORDER BY s.expires_at LIMIT $2`,
}
const use: Statement = {
  name: 'stream_use',
  repeatable: true,
  text: 'UPDATE millrace.streams SET expires_at = $3 WHERE tenant = $1 AND stream = $2 AND expires_at < $3',
}
const insert = `
  INSERT INTO millrace.streams (tenant, namespace, name, created_at, content_type, ttl_ms, expires_at, closed, last_order, source, inherited, fork_sub,
    fork_depth)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING stream`
const hasForks = 'SELECT 1 FROM millrace.streams WHERE tenant = $1 AND source = $2 AND name IS NOT NULL LIMIT 1'

/** How streams with traits come and go. Who forks or deletes one holds its row, then that of what it is a fork of. */
export class Lifecycle {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async state({ tenant, namespace }: Scope, name: string): Promise<StreamState | undefined> {
    const [row] = await this.#context.db.run(state, [tenant, namespace, name])
    return row && stateOf(namedState(row))
  }

  create(request: StreamCreateRequest): Promise<{ readonly created: boolean; readonly state: StreamState }> {
    const { scope, stream: name, traits, messages, now } = request
    const key = [scope.tenant, scope.namespace, name]
    return this.#context.db.transaction(async (transaction) => {
      const find = async () => (await transaction.query<StateRow>(`${withFirst} WHERE ${named} FOR UPDATE OF s`, key))[0]
      const known = await find()
      if (known && !(hasEnded(stateOf(known), now) && !known.gone)) return { created: false, state: stateOf(known) }
      if (known) await remove(transaction, scope.tenant, known.number, known.source)
      const { fork } = traits
      const source = fork && (await holdSource(transaction, scope.tenant, fork.source))
      if (fork && !source) throw noStream('the source of the fork')
      const [made] = await transaction.query<{ stream: number }>(insert, [...key, now, ...valuesOf(traits)])
      // Another one was faster, or one is kept for its forks.
      if (!made) return { created: false, state: stateOf((await find())!) }
      const { stream } = made
      const next = fork?.inherited ?? 0
      const earliest = Math.min(source?.earliest ?? 0, next)
      await transaction.query(
        'INSERT INTO millrace.stream_partitions (tenant, stream, partition, earliest, next) VALUES ($1, $2, 0, $3, $4)',
        [scope.tenant, stream, earliest, next],
      )
      const place = { tenant: scope.tenant, stream }
      const partition = { ...place, partition: 0, next: next + messages.length, writtenAt: now, added: [...messages] }
      await storeMessages(transaction, [{ ...place, before: traits, traits, partitions: [partition], unused: false }])
      return { created: true, state: stateOf((await find())!) }
    })
  }

  async use({ tenant }: Scope, state: StreamState, now: number): Promise<void> {
    const expiresAt = usedUntil(state, now)
    if (expiresAt !== state.expiresAt) await this.#context.db.run(use, [tenant, state.number, expiresAt])
  }

  /** @param endedBy - deletes it only if its time was over then. */
  async remove(scope: Scope, name: string, endedBy?: number): Promise<boolean> {
    const removed = await this.#context.db.transaction(async (transaction) => {
      type Found = { readonly number: number; readonly source: number | null }
      const [found] = await transaction.query<Found>(
        `SELECT s.stream AS number, s.source FROM millrace.streams s WHERE ${named} AND s.gone = 0
         AND ($4::bigint IS NULL OR (s.expires_at > 0 AND s.expires_at <= $4)) FOR UPDATE`,
        [scope.tenant, scope.namespace, name, endedBy ?? null],
      )
      if (found) await remove(transaction, scope.tenant, found.number, found.source)
      return found !== undefined
    })
    if (removed) this.#context.touch('stream', scope, name)
    return removed
  }

  async expire(now: number, limit: number): Promise<number> {
    const found = await this.#context.db.run<[number, string, string]>(ended, [now, limit])
    for (const [tenant, namespace, name] of found) await this.remove({ tenant, namespace }, name, now)
    return found.length
  }
}

/** Deletes a stream whose row is held, and what was kept for it alone. */
async function remove(transaction: Transaction, tenant: number, stream: number, source: number | null): Promise<void> {
  const forks = await transaction.query(hasForks, [tenant, stream])
  if (forks.length > 0) {
    await transaction.query('UPDATE millrace.streams SET gone = 1 WHERE tenant = $1 AND stream = $2', [tenant, stream])
    return
  }
  await transaction.query('UPDATE millrace.streams SET name = NULL WHERE tenant = $1 AND stream = $2', [tenant, stream])
  if (source === null) return
  const [held] = await transaction.query<{ readonly source: number | null; readonly gone: number }>(
    'SELECT source, gone FROM millrace.streams WHERE tenant = $1 AND stream = $2 FOR UPDATE',
    [tenant, source],
  )
  if (held?.gone) await remove(transaction, tenant, source, held.source)
}

async function holdSource(transaction: Transaction, tenant: number, stream: number): Promise<StateRow | undefined> {
  const [row] = await transaction.query<StateRow>(
    `${withFirst} WHERE s.tenant = $1 AND s.stream = $2 AND s.name IS NOT NULL AND s.gone = 0 FOR UPDATE OF s`,
    [tenant, stream],
  )
  return row
}

function valuesOf({ contentType, ttlMs, expiresAt, closed, order, fork }: StreamTraits) {
  return [
    contentType,
    ttlMs,
    expiresAt,
    Number(closed),
    order,
    fork?.source ?? null,
    fork?.inherited ?? 0,
    fork?.sub ?? 0,
    fork?.depth ?? 0,
  ]
}
