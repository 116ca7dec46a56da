import type { TableDescription } from '@millrace/protocol'
import type { TableConnection } from './backend.ts'
import { baseTypeOf } from './base-type.ts'

/** What the migrations that were carried out are noted in. */
export const migrationsTable = 'millrace_migrations'
/** What changes of rows are noted in, and for whom. */
export const changesTable = 'millrace_row_changes'
export const watchedTable = 'millrace_watched_tables'
/** Tables of the server's own in each namespace's schema, as a list in SQL: not shown among the others. */
export const ownTables = `'${migrationsTable}', '${changesTable}', '${watchedTable}'`

/** Tables of one description at most. */
const mostTables = 1000

/**
 * The tables and views of a schema, by name.
 *
 * @param table - only this one; '' for all.
 */
export async function describeTables(connection: TableConnection, schema: string, table: string): Promise<TableDescription[]> {
  const { rows } = await connection.query(
    `SELECT pg_catalog.json_build_object(
       'name', c.relname,
       'kind', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END,
       'rowSecurity', c.relrowsecurity,
       'comment', coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''),
       'primaryKey', coalesce((
         SELECT pg_catalog.json_agg(k.attname ORDER BY p.place)
         FROM pg_catalog.pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS p (attnum, place), pg_catalog.pg_attribute k
         WHERE i.indrelid = c.oid AND i.indisprimary AND k.attrelid = c.oid AND k.attnum = p.attnum), '[]'),
       'columns', coalesce((
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
           'name', a.attname,
           'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
           'baseType', pg_catalog.format_type(b.oid, NULL) || CASE WHEN b.list THEN '[]' ELSE '' END,
           -- Outer joins of a view make NULL of any type.
           'nullable', NOT (a.attnotnull OR (b.required AND c.relkind NOT IN ('v', 'm'))),
           'defaultValue', CASE WHEN a.attgenerated = '' THEN coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END,
           'generated', a.attgenerated <> '' OR a.attidentity = 'a',
           'enumValues', coalesce((
             SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid AND NOT b.list), '[]'),
           'comment', coalesce(pg_catalog.col_description(c.oid, a.attnum), '')) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
           CROSS JOIN LATERAL ${baseTypeOf('a.atttypid')} AS b
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'))
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname NOT IN (${ownTables}) AND ($2 = '' OR c.relname = $2)
     ORDER BY c.relname LIMIT ${mostTables}`,
    [schema, table],
  )
  return rows.map(([json]) => JSON.parse(json!) as TableDescription)
}
