import type { Scope } from '../../ports.ts'
import { noStream } from '../../stream-rules.ts'
import type { Database, Statement, Transaction } from '../database.ts'

/** SQL: the stream of a scope and a name, which are the first three parameters. */
export const named = 's.tenant = $1 AND s.namespace = $2 AND s.name = $3 AND s.gone = 0'
/** Partitions of a stream, in order. */
export const partitions: Statement = {
  name: 'stream_partitions',
  repeatable: true,
  text: `SELECT s.stream, p.partition, p.earliest, p.next, p.bytes, s.max_age_ms, s.max_bytes, s.created_at, s.name, s.source, s.inherited, s.compaction FROM millrace.streams s
    JOIN millrace.stream_partitions p ON p.tenant = s.tenant AND p.stream = s.stream WHERE ${named} ORDER BY p.partition`,
}

/** A partition with what is known of its stream. */
export type Row = readonly [
  stream: number,
  partition: number,
  earliest: number,
  next: number,
  bytes: number,
  maxAgeMs: number,
  maxBytes: number,
  createdAt: number,
  name: string,
  source: number | null,
  inherited: number,
  compaction: number,
]

/** Where statements are carried out: in a transaction, or each in its own. */
export type Runner = Pick<Database | Transaction, 'run'>

/** Partitions of a stream, in order. @throws NOT_FOUND */
export async function readPartitions(db: Runner, { tenant, namespace }: Scope, name: string): Promise<Row[]> {
  const rows = await db.run<Row>(partitions, [tenant, namespace, name])
  if (rows.length === 0) throw noStream(name)
  return rows
}
