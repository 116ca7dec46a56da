import type { TableColumn, TableInfo, TableStatistics } from '../../../domain/analytics/backend.ts'
import type { Row } from './host/protocol.ts'

/** A query of the server's own. */
export interface OwnQuery {
  readonly sql: string
  readonly values: readonly string[]
}

/** A name in SQL, whatever it is. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Tables and views, of which {@link readTables} makes sense. */
export function tablesQuery({
  after,
  limit,
  kind,
}: {
  readonly after: string
  readonly limit: number
  readonly kind?: 'table' | 'view'
}): OwnQuery {
  const part = kind === undefined ? '' : ` AND is_view = ${kind === 'view'}`
  return { sql: columnsOf(`name > $1${part} ORDER BY name LIMIT ${limit}`), values: [after] }
}

/** One table or view. */
export function tableQuery(name: string): OwnQuery {
  return { sql: columnsOf('name = $1'), values: [name] }
}

/** A database may have macros of the names of DuckDB's functions, which would be taken for those. */
function columnsOf(condition: string): string {
  return `
    WITH every AS (
      SELECT table_name AS name, false AS is_view, estimated_size AS size FROM system.main.duckdb_tables()
      WHERE database_name = system.main.current_database() AND schema_name = 'main' AND NOT internal
      UNION ALL
      SELECT view_name, true, 0 FROM system.main.duckdb_views()
      WHERE database_name = system.main.current_database() AND schema_name = 'main' AND NOT internal
    ), chosen AS (SELECT * FROM every WHERE ${condition}),
    keys AS (
      SELECT table_name, unnest(constraint_column_names) AS column_name FROM system.main.duckdb_constraints()
      WHERE database_name = system.main.current_database() AND schema_name = 'main' AND constraint_type = 'PRIMARY KEY'
    )
    SELECT chosen.name, is_view, size::VARCHAR AS size, c.column_name, data_type, is_nullable, column_default,
      keys.column_name IS NOT NULL AS primary_key
    FROM chosen
    LEFT JOIN system.main.duckdb_columns() c ON c.database_name = system.main.current_database() AND c.schema_name = 'main' AND c.table_name = chosen.name
    LEFT JOIN keys ON keys.table_name = chosen.name AND keys.column_name = c.column_name
    ORDER BY chosen.name, column_index`
}

/** The tables of an answer. */
export function readTables(rows: readonly Row[]): readonly TableInfo[] {
  const tables = new Map<string, TableInfo & { readonly columns: TableColumn[] }>()
  for (const row of rows) {
    const name = String(row.name)
    const table = tables.get(name) ?? { name, isView: row.is_view === true, columns: [], estimatedRows: Number(row.size) }
    tables.set(name, table)
    if (row.column_name === null) continue
    table.columns.push({
      name: String(row.column_name),
      type: String(row.data_type),
      notNull: row.is_nullable === false,
      primaryKey: row.primary_key === true,
      defaultValue: row.column_default === null ? '' : String(row.column_default),
    })
  }
  return [...tables.values()]
}

/** What the columns of a table hold. */
export function statisticsQuery(name: string): OwnQuery {
  return {
    sql: `SELECT column_name, column_type, min::VARCHAR AS min, max::VARCHAR AS max, approx_unique::VARCHAR AS distinct_values,
      count::VARCHAR AS count, null_percentage::VARCHAR AS nulls FROM (SUMMARIZE ${quoted(name)})`,
    values: [],
  }
}

/** The statistics of an answer. */
export function readStatistics(rows: readonly Row[]): TableStatistics {
  return {
    rows: Number(rows[0]?.count ?? 0),
    columns: rows.map((row) => ({
      name: String(row.column_name),
      type: String(row.column_type),
      min: row.min === null ? '' : String(row.min),
      max: row.max === null ? '' : String(row.max),
      approximateDistinct: Number(row.distinct_values),
      nullPercentage: Number(row.nulls ?? 0),
    })),
  }
}
