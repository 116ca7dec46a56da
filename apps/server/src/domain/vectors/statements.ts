import { Bindings, type Condition } from '../tables/conditions.ts'
import { quoted } from '../tables/identifiers.ts'
import type { Statement } from '../tables/statements.ts'
import { metadataSql } from './metadata-sql.ts'
import type { Collection, HybridSearch, Item, Metric, Search } from './types.ts'

/** Of each metric: its operator, the class of its index, and the score of a distance. */
const metrics: Readonly<Record<Metric, { readonly operator: string; readonly opclass: string; score(distance: string): string }>> = {
  // Zeros have no direction, and so no distance: pgvector says NaN, which Postgres takes for more than any number.
  cosine: { operator: '<=>', opclass: 'vector_cosine_ops', score: (distance) => `coalesce(nullif(1 - (${distance}), 'NaN'), -1)` },
  l2: { operator: '<->', opclass: 'vector_l2_ops', score: (distance) => `1 / (1 + ${distance})` },
  // pgvector's operator is the negative inner product, so that less is nearer for it, too.
  inner_product: { operator: '<#>', opclass: 'vector_ip_ops', score: (distance) => `-(${distance})` },
}

/** What the comment of a table begins with that is a collection. */
export const commentPrefix = 'millrace vectors '

/** The statements that make a collection, with semicolons between them. */
export function createScript(schema: string, { name, dimension, metric, index, language, createdAt }: Collection): string {
  const table = `${quoted(schema)}.${quoted(name)}`
  const comment = `${commentPrefix}${JSON.stringify({ metric, language, createdAt, ...(index && { index }) })}`
  const statements = [
    `CREATE TABLE ${table} (
      id text COLLATE "C" PRIMARY KEY,
      embedding vector(${dimension}) NOT NULL,
      content text NOT NULL DEFAULT '',
      metadata jsonb NOT NULL DEFAULT '{}',
      words tsvector GENERATED ALWAYS AS (to_tsvector(${literal(language)}::regconfig, content)) STORED,
      updated_at timestamptz NOT NULL DEFAULT now()
    )`,
    `CREATE INDEX ON ${table} USING gin (words)`,
    `CREATE INDEX ON ${table} USING gin (metadata jsonb_path_ops)`,
    `COMMENT ON TABLE ${table} IS ${literal(comment)}`,
  ]
  if (index) {
    const options = `m = ${index.m}, ef_construction = ${index.efConstruction}`
    statements.push(`CREATE INDEX ON ${table} USING hnsw (embedding ${metrics[metric].opclass}) WITH (${options})`)
  }
  return statements.join(';\n')
}

/** Text as it stands in SQL, where values cannot be bound. */
function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** Tables that are collections: names, comments and dimensions, by name. */
export function collectionsStatement(schema: string, after: string, limit: number): Statement {
  const text = `
    SELECT c.relname, obj_description(c.oid, 'pg_class'), a.atttypmod
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'embedding'
    WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname COLLATE "C" > $2 AND obj_description(c.oid, 'pg_class') LIKE $3
    ORDER BY c.relname COLLATE "C" LIMIT $4`
  return { text, values: [schema, after, `${commentPrefix}%`, String(limit)] }
}

/** One table: its comment, and its dimension when it is a collection. */
export function collectionStatement(schema: string, name: string): Statement {
  const text = `
    SELECT c.relname, obj_description(c.oid, 'pg_class'), a.atttypmod
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'embedding'
    WHERE n.nspname = $1 AND c.relname = $2`
  return { text, values: [schema, name] }
}

/** Puts items in; those whose ids are there are replaced. */
export function upsertStatement(table: string, items: readonly Item[]): Statement {
  const bindings = new Bindings()
  const rows = items.map(({ id, vector, text, metadata }) => {
    return `(${bindings.add(id)}, ${bindings.add(vector!)}::vector, ${bindings.add(text)}, ${bindings.add(metadata)}::jsonb)`
  })
  const text = `INSERT INTO ${table} (id, embedding, content, metadata) VALUES ${rows.join(', ')}
    ON CONFLICT (id) DO UPDATE
    SET embedding = EXCLUDED.embedding, content = EXCLUDED.content, metadata = EXCLUDED.metadata, updated_at = now()`
  return { text, values: bindings.values }
}

/** ` WHERE …`, of what is given. */
export function whereSql(where: Condition | undefined, bindings: Bindings): string {
  return where ? ` WHERE ${metadataSql(where, bindings)}` : ''
}

/** The nearest items: id, vector or null, text, metadata, score. */
export function searchStatement(table: string, metric: Metric, search: Search): Statement {
  const { operator, score } = metrics[metric]
  const bindings = new Bindings()
  const distance = `r.embedding ${operator} ${bindings.add(search.vector)}::vector`
  // The distance alone in the order, so that the index can give it; the bound of the score holds for what it gave.
  const nearest = `SELECT r.*, ${distance} AS distance FROM ${table} AS r${whereSql(search.where, bindings)} ORDER BY ${distance} LIMIT ${bindings.add(String(search.limit))}`
  const bound = search.threshold === undefined ? '' : ` WHERE ${score('n.distance')} >= ${bindings.add(String(search.threshold))}::float8`
  const vector = search.withVectors ? 'n.embedding' : 'NULL'
  const text = `SELECT n.id, ${vector}, n.content, n.metadata, ${score('n.distance')} FROM (${nearest}) AS n${bound} ORDER BY n.distance`
  return { text, values: bindings.values }
}

/** The best items by text and vector: id, vector or null, text, metadata, score. */
export function hybridStatement(table: string, { metric, language }: Collection, search: HybridSearch): Statement {
  const { operator, score } = metrics[metric]
  const bindings = new Bindings()
  const distance = `r.embedding ${operator} ${bindings.add(search.vector)}::vector`
  const words = `websearch_to_tsquery(${bindings.add(language)}::regconfig, ${bindings.add(search.text)})`
  const candidates = bindings.add(String(search.candidates))
  const nearest = `SELECT r.id, ${distance} AS distance FROM ${table} AS r${whereSql(search.where, bindings)} ORDER BY ${distance} LIMIT ${candidates}`
  const fits = search.where ? ` AND ${metadataSql(search.where, bindings)}` : ''
  const relevant = `SELECT r.id, ts_rank_cd(r.words, q) AS relevance FROM ${table} AS r, ${words} AS q WHERE r.words @@ q${fits} ORDER BY relevance DESC, r.id LIMIT ${candidates}`
  const textWeight = `${bindings.add(String(search.textWeight))}::float8`
  const vectorWeight = `${bindings.add(String(search.vectorWeight))}::float8`
  const fused =
    search.fusion === 'rrf'
      ? `coalesce(${vectorWeight} / (60 + v.rank), 0) + coalesce(${textWeight} / (60 + t.rank), 0)`
      : `coalesce(${vectorWeight} * v.part, 0) + coalesce(${textWeight} * t.part, 0)`
  const vector = search.withVectors ? 'r.embedding' : 'NULL'
  const text = `
    WITH v AS (
      SELECT id, rank() OVER (ORDER BY distance) AS rank, ${part(score('distance'))} AS part FROM (${nearest}) AS n
    ), t AS (
      SELECT id, rank() OVER (ORDER BY relevance DESC) AS rank, ${part('relevance')} AS part FROM (${relevant}) AS n
    ), best AS (
      SELECT id, ${fused} AS score FROM v FULL JOIN t USING (id) ORDER BY score DESC, id LIMIT ${bindings.add(String(search.limit))}
    )
    SELECT r.id, ${vector}, r.content, r.metadata, best.score FROM best JOIN ${table} AS r USING (id) ORDER BY best.score DESC, r.id`
  return { text, values: bindings.values }
}

/** A score as a part of what was found: 1 the best of it, 0 the least; 1 when all are the same. */
function part(score: string): string {
  const [value, least, most] = [score, `min(${score}) OVER ()`, `max(${score}) OVER ()`]
  return `coalesce((${value} - ${least})::float8 / nullif((${most} - ${least})::float8, 0), 1)`
}
