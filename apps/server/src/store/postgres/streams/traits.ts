import type { StreamState } from '../../stream-port.ts'
import type { StreamTraits } from '../../trait-port.ts'

/** Columns of a stream `s` that say what it is beside its messages. */
export const traitColumns = `s.content_type AS "contentType", s.ttl_ms AS "ttlMs", s.expires_at AS "expiresAt", s.closed,
    s.last_order AS "lastOrder", s.source, s.inherited, s.fork_sub AS "forkSub", s.gone, s.fork_depth AS "forkDepth"`

/** A row of {@link traitColumns}. */
export interface TraitRow {
  readonly contentType: string
  readonly ttlMs: number
  readonly expiresAt: number
  readonly closed: number
  readonly lastOrder: string
  readonly source: number | null
  readonly inherited: number
  readonly forkSub: number
  readonly gone: number
  readonly forkDepth: number
}

/** Columns of a stream `s` with its first partition `p`, as its state. */
export const stateColumns = `s.stream AS number, s.created_at AS "createdAt", p.earliest, p.next,
    (SELECT count(*)::int FROM millrace.stream_partitions a WHERE a.tenant = s.tenant AND a.stream = s.stream) AS partitions, ${traitColumns}`

/** A row of {@link stateColumns}. */
export type StateRow = TraitRow & Pick<StreamState, 'number' | 'createdAt' | 'earliest' | 'next' | 'partitions'>

/** What a row says. */
export function traitsOf({ source, inherited, forkSub, forkDepth, lastOrder, closed, gone, ...row }: TraitRow): StreamTraits {
  const fork = source === null ? undefined : { source, inherited, sub: forkSub, depth: forkDepth }
  const { contentType, ttlMs, expiresAt } = row
  return { contentType, ttlMs, expiresAt, closed: closed === 1, order: lastOrder, fork, gone: gone === 1 }
}

const stateNames = [
  ...['number', 'createdAt', 'earliest', 'next', 'partitions'],
  ...['contentType', 'ttlMs', 'expiresAt', 'closed', 'lastOrder', 'source', 'inherited', 'forkSub', 'gone', 'forkDepth'],
]

/** A row of {@link stateColumns} whose values come in their order. */
export function namedState(values: readonly unknown[]): StateRow {
  return Object.fromEntries(stateNames.map((name, i) => [name, values[i]])) as unknown as StateRow
}

/** What a row says. */
export function stateOf(row: StateRow): StreamState {
  const { number, createdAt, partitions, earliest, next } = row
  return { ...traitsOf(row), number, createdAt, partitions, earliest, next }
}
