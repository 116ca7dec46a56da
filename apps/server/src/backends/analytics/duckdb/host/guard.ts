/**
 * What a tenant's SQL may not name, wherever in the text: DuckDB refuses files, networks, extensions and settings by itself
 * (`enable_external_access`, `lock_configuration`); these are ways around that through functions which a SELECT may call. They
 * can be named in no other spelling, since SQL has no escapes within names here, so that looking at the text is enough. A text
 * that only mentions one goes into a parameter. Between a function's name and its parenthesis may stand what DuckDB takes for space,
 * which is more than what JavaScript does: nothing beyond ASCII is looked at there.
 */
const refused: readonly (readonly [RegExp, string])[] = [
  [
    /\b(?:read_(?:text|blob|csv|parquet|json|ndjson|duckdb)\w*|parquet_\w+|sniff_csv|sql_auto_complete|duckdb_external_file_cache|duckdb_temporary_files)\b/i,
    'SQL reaches no files. Import what is in a bucket instead',
  ],
  [/\bglob["\s\u0080-\uffff]*(?:\(|--|\/\*)/i, 'SQL reaches no files'],
  [/\b(?:force_)?checkpoint["\s\u0080-\uffff]*(?:\(|--|\/\*)/i, 'when a database brings its log into its file is not up to SQL'],
  [
    /\b(?:(?:en|dis)able_(?:logging|profile|profiling|peg_parser)|truncate_duckdb_logs|duckdb_log\w*|write_log|duckdb_settings|pg_settings|current_setting|duckdb_extensions|duckdb_secrets|which_secret|getenv)\b/i,
    'SQL reaches no settings',
  ],
  [/\bcreate\s+(?:or\s+replace\s+)?(?:persistent\s+|temporary\s+|temp\s+)?secret\b/i, 'SQL reaches no secrets'],
  [/\b(?:duckdb_databases|\w*database_list)\b/i, 'SQL reaches no other database'],
  [/\b(?:arrow_scan\w*|pandas_scan|python_map\w*)\b/i, 'SQL reaches no memory'],
  // SQL in text would pass by this check.
  [/\bjson_execute_serialized_sql\b/i, 'SQL is not run from text'],
  [/\bquery(?:_table)?["\s\u0080-\uffff]*(?:\(|--|\/\*)/i, 'SQL is not run from text'],
]

/**
 * What is wrong with a text of SQL, before anything else looks at it; undefined when nothing is.
 *
 * @param sql - from a tenant.
 */
export function refusal(sql: string): string | undefined {
  for (const [pattern, why] of refused) {
    const found = pattern.exec(sql)
    if (found) return `${JSON.stringify(found[0].trim())} is not allowed: ${why}.`
  }
  return undefined
}

/** Which statements each call takes, by the names that DuckDB's parser gives them. */
export const allowedStatements = {
  query: new Set(['SELECT']),
  explain: new Set(['EXPLAIN']),
  export: new Set(['SELECT']),
  execute: new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE_INTO', 'CREATE', 'CREATE_FUNC', 'ALTER', 'DROP', 'ANALYZE', 'VACUUM']),
} as const

/** What to do instead of a statement that is not allowed. */
export function advice(kind: keyof typeof allowedStatements, statement: string): string {
  if (kind === 'export') return 'the rows of one query are exported'
  if (kind === 'query' && allowedStatements.execute.has(statement)) return 'a query only reads; use execute'
  if (statement === 'TRANSACTION') return 'send the statements of a transaction as one batch'
  if (statement === 'COPY' || statement === 'EXPORT') return 'SQL reaches no files; import from and export to a bucket instead'
  if (statement === 'ATTACH' || statement === 'DETACH' || statement === 'COPY_DATABASE') return 'SQL reaches no other database'
  if (statement === 'EXPLAIN') return kind === 'query' ? 'EXPLAIN must be its first word' : 'use explain, or a query'
  return 'it is not open to SQL here'
}
