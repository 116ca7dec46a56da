import type { RowColumn } from '@millrace/protocol'
import { MillraceError } from '../../errors.ts'
import type { ResultBounds, TableConnection, TableQueries } from './backend.ts'
import { Bindings, type Condition, conditionSql } from './conditions.ts'
import { quoted } from './identifiers.ts'
import { rowWriter } from './rows.ts'
import { columnsSql } from './selections.ts'
import { emptyRow } from './statements.ts'

const unbounded: ResultBounds = { rows: 1001, bytes: 64 << 20 }

/** The part of a table that a watcher looks at. */
export interface ChangeSelection {
  readonly columns: string
  readonly where: Condition | undefined
}

/** What of changed rows is in a selection: each as a JSON object, by the change's number. */
export interface ChangeImages {
  readonly columns: RowColumn[]
  readonly old: ReadonlyMap<number, string>
  readonly new: ReadonlyMap<number, string>
}

/** What a user may see of a table. */
interface Sight {
  /** The columns, quoted. */
  readonly columns: readonly string[]
  /** The policies that rows must satisfy, as SQL over the table's columns. */
  readonly policy: string
}

/** Everything, which its owner may see. */
const everything: Sight = { columns: ['*'], policy: 'TRUE' }

/**
 * Shows rows as they were noted to who watches them. They are rows of no table any more, so Postgres does not guard them: for
 * a user, what would guard them is looked up – the columns that may be read, and the policies of row-level security – and
 * each image has to satisfy it as a row of the table would.
 *
 * @param connection - in a transaction in which it acts as the watcher.
 * @param table - quoted, as the log's reader names it.
 * @param images - what {@link readChanges} gave.
 */
export async function showImages(
  connection: TableConnection,
  { schema, table, oid }: { readonly schema: string; readonly table: string; readonly oid: string },
  { columns, where }: ChangeSelection,
  images: string,
  asUser: boolean,
): Promise<ChangeImages> {
  const sight = asUser ? await lookUpSight(connection, oid, table) : everything
  const [name, row] = [quoted(table), `${quoted(schema)}.${quoted(table)}`]
  const bindings = new Bindings()
  const list = bindings.add(images)
  const condition = where ? conditionSql(where, bindings) : 'TRUE'
  // OFFSET 0 keeps what a watcher asks for from being looked at before the policies.
  const outcome = await connection.query(
    `SELECT i.seq, i.now, ${columnsSql(columns)}
     FROM (SELECT c.seq, s.now, s.image FROM pg_catalog.json_to_recordset(${list}::pg_catalog.json) AS c (seq bigint, old json, new json)
       CROSS JOIN LATERAL (VALUES (false, c.old), (true, c.new)) AS s (now, image) WHERE s.image IS NOT NULL) AS i
     CROSS JOIN LATERAL (
       SELECT ${sight.columns.map((column) => `${name}.${column}`).join(', ')}
       FROM (SELECT p.* FROM pg_catalog.json_populate_record(${emptyRow(row)}, i.image) AS p OFFSET 0) AS ${name}
       WHERE ${sight.policy} OFFSET 0) AS r
     WHERE ${condition} ORDER BY i.seq`,
    bindings.values,
    unbounded,
  )
  const { wire, write } = await rowWriter(outcome.columns.slice(2), connection)
  const [before, after] = [new Map<number, string>(), new Map<number, string>()]
  for (const [seq, now, ...values] of outcome.rows) (now === 't' ? after : before).set(Number(seq), write(values))
  return { columns: wire, old: before, new: after }
}

/** What the current user may read of a table. */
async function lookUpSight(connection: TableQueries, oid: string, table: string): Promise<Sight> {
  const { rows } = await connection.query(
    `SELECT c.relrowsecurity,
       (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
          AND NOT a.attisdropped AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')),
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(p.polpermissive, pg_catalog.pg_get_expr(p.polqual, p.polrelid)))
          FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
          AND EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) o (role) WHERE o.role = 0 OR pg_catalog.pg_has_role(o.role, 'USAGE')))
     FROM pg_catalog.pg_class c WHERE c.oid = $1::oid`,
    [oid],
  )
  const [secured, columns, policies] = rows[0] ?? []
  const readable = JSON.parse(columns ?? 'null') as string[] | null
  if (!readable) throw new MillraceError('PERMISSION_DENIED', `permission denied for table ${table}`)
  const list = JSON.parse(policies ?? '[]') as readonly (readonly [permissive: boolean, sql: string | null])[]
  return { columns: readable.map(quoted), policy: secured === 't' ? policySql(list) : 'TRUE' }
}

/** One of the permissive policies has to hold, and each of the restrictive ones; without a permissive one, nothing is seen. */
function policySql(policies: readonly (readonly [permissive: boolean, sql: string | null])[]): string {
  const sqlOf = (permissive: boolean) => policies.filter(([each]) => each === permissive).map(([, sql]) => `(${sql ?? 'TRUE'})`)
  return [`(${sqlOf(true).join(' OR ') || 'FALSE'})`, ...sqlOf(false)].join(' AND ')
}
