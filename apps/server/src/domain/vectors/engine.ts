import { MillraceError, notFound } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type { ResultBounds, SqlOutcome, TableConnection } from '../tables/backend.ts'
import { Bindings, type Condition } from '../tables/conditions.ts'
import type { TableEngine } from '../tables/engine.ts'
import { quoted } from '../tables/identifiers.ts'
import { transaction } from '../tables/namespaces.ts'
import {
  collectionStatement,
  collectionsStatement,
  commentPrefix,
  createScript,
  hybridStatement,
  searchStatement,
  upsertStatement,
  whereSql,
} from './statements.ts'
import type { Collection, HybridSearch, Item, Match, Search } from './types.ts'

/** Items of one statement: four values each, of 65,535 that a statement may bind. */
const itemsPerStatement = 500

/** The oldest pgvector whose index goes on when a filter leaves too little of what it found. */
const needed = [0, 8] as const

/** A vector with the number of its dimensions, to be checked against its collection's. */
interface Sized {
  readonly dimension: number
}

/** A connection within a transaction, at one collection. */
interface Place {
  readonly connection: TableConnection
  readonly collection: Collection
  /** The collection's table as it stands in SQL. */
  readonly table: string
}

/** Collections of vectors: tables of the namespace with an index over their vectors. */
export class VectorEngine {
  readonly #tables: TableEngine

  /** @param tables - where the namespaces are. */
  constructor(tables: TableEngine) {
    this.#tables = tables
  }

  /**
   * Makes a collection, unless it is there with the same settings.
   *
   * @throws ALREADY_EXISTS when it is there with others, or a table of its name is; FAILED_PRECONDITION when Postgres has no pgvector.
   */
  async create(scope: Scope, settings: Collection): Promise<{ readonly collection: Collection; readonly created: boolean }> {
    const { name } = settings
    return this.#tables.asAuthor(scope, { field: 'name' }, async (connection, { schema }) => {
      await requireVector(connection)
      const there = await readTable(connection, schema, name)
      if (there === 'other')
        throw new MillraceError('ALREADY_EXISTS', `There is a table '${name}' that is not a collection of vectors. Give another name.`)
      if (there) return { collection: sameAs(there, settings), created: false }
      await transaction(connection, () => connection.script(createScript(schema, settings)))
      return { collection: settings, created: true }
    })
  }

  /** A collection. @throws NOT_FOUND */
  get(scope: Scope, name: string): Promise<Collection> {
    return this.#at(scope, name, true, async ({ collection }) => collection)
  }

  /** Collections by name, after one of them. */
  async list(scope: Scope, after: string, limit: number): Promise<Collection[]> {
    const place = await this.#tables.find(scope)
    if (!place) return []
    const { text, values } = collectionsStatement(place.schema, after, limit)
    return this.#tables.work({ scope, user: '' }, place, { field: 'cursor' }, async (connection) => {
      const { rows } = await connection.query(text, values)
      return rows.map(([name, comment, dimension]) => readComment(name!, comment!, Number(dimension))).filter((each) => each !== undefined)
    })
  }

  /** Deletes a collection. Yields whether it was there. */
  async drop(scope: Scope, name: string): Promise<boolean> {
    try {
      await this.#at(scope, name, false, ({ connection, table }) => connection.query(`DROP TABLE ${table}`))
      return true
    } catch (error) {
      if (error instanceof MillraceError && error.reason === 'NOT_FOUND') return false
      throw error
    }
  }

  /** Puts items in, all or none; those whose ids are there are replaced. */
  async upsert(scope: Scope, name: string, items: readonly (Item & Sized)[]): Promise<void> {
    await this.#at(scope, name, false, async ({ connection, collection, table }) => {
      for (const [i, { dimension }] of items.entries()) checkDimension(`items[${i}].vector`, dimension, collection)
      for (let i = 0; i < items.length; i += itemsPerStatement) {
        const { text, values } = upsertStatement(table, items.slice(i, i + itemsPerStatement))
        await connection.query(text, values)
      }
    })
  }

  /** Items that are there, by id. */
  items(scope: Scope, name: string, ids: readonly string[]): Promise<Item[]> {
    return this.#at(scope, name, true, async ({ connection, collection, table }) => {
      const { sql, values } = anyOf(ids)
      const text = `SELECT id, embedding, content, metadata FROM ${table} WHERE id ${sql} ORDER BY id`
      return (await connection.query(text, values, boundsOf(collection, ids.length))).rows.map(toItem)
    })
  }

  /** Deletes items by id. Yields how many were there. */
  delete(scope: Scope, name: string, ids: readonly string[]): Promise<number> {
    return this.#at(scope, name, false, async ({ connection, table }) => {
      const { sql, values } = anyOf(ids)
      return (await connection.query(`DELETE FROM ${table} WHERE id ${sql}`, values)).affected
    })
  }

  /** Deletes items whose metadata fit. Yields how many there were. */
  deleteWhere(scope: Scope, name: string, where: Condition): Promise<number> {
    return this.#at(scope, name, false, async ({ connection, table }) => {
      const bindings = new Bindings()
      return (await connection.query(`DELETE FROM ${table} AS r${whereSql(where, bindings)}`, bindings.values)).affected
    })
  }

  /** How many items there are, or how many fit. */
  count(scope: Scope, name: string, where: Condition | undefined): Promise<number> {
    return this.#at(scope, name, true, async ({ connection, table }) => {
      const bindings = new Bindings()
      const { rows } = await connection.query(`SELECT count(*) FROM ${table} AS r${whereSql(where, bindings)}`, bindings.values)
      return Number(rows[0]![0])
    })
  }

  /** The items nearest to a vector. */
  search(scope: Scope, name: string, search: Search): Promise<Match[]> {
    return this.#at(scope, name, true, async (place) => {
      await beginSearch(place, search)
      const { text, values } = searchStatement(place.table, place.collection.metric, search)
      return toMatches(await place.connection.query(text, values, boundsOf(place.collection, search.withVectors ? search.limit : 0)))
    })
  }

  /** The best items by text and vector. */
  hybrid(scope: Scope, name: string, search: HybridSearch): Promise<Match[]> {
    return this.#at(scope, name, true, async (place) => {
      await beginSearch(place, search)
      const { text, values } = hybridStatement(place.table, place.collection, search)
      return toMatches(await place.connection.query(text, values, boundsOf(place.collection, search.withVectors ? search.limit : 0)))
    })
  }

  /** Works at a collection, in one transaction. */
  async #at<T>(scope: Scope, name: string, readOnly: boolean, work: (place: Place) => Promise<T>): Promise<T> {
    const place = await this.#tables.find(scope)
    if (!place) throw notFound('collection', name)
    return this.#tables.work({ scope, user: '', readOnly }, place, { field: 'name', table: name }, async (connection) => {
      const collection = await readTable(connection, place.schema, name)
      if (!collection || collection === 'other') throw notFound('collection', name)
      return work({ connection, collection, table: `${quoted(place.schema)}.${quoted(name)}` })
    })
  }
}

async function requireVector(connection: TableConnection): Promise<void> {
  const { rows } = await connection.query(`SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'`)
  const version = rows[0]?.[0]
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (major > needed[0] || (major === needed[0] && minor >= needed[1])) return
  const there = version ? `has pgvector ${version}` : 'has no pgvector'
  throw new MillraceError(
    'FAILED_PRECONDITION',
    `The Postgres of the tables ${there}; vectors need ${needed.join('.')} or later. Install it there and run: CREATE EXTENSION vector SCHEMA millrace_extensions`,
  )
}

/** What a name stands for: a collection, another table, or nothing. */
async function readTable(connection: TableConnection, schema: string, name: string): Promise<Collection | 'other' | undefined> {
  const { text, values } = collectionStatement(schema, name)
  const [row] = (await connection.query(text, values)).rows
  return row && (readComment(name, row[1] ?? '', Number(row[2])) ?? 'other')
}

/** What a table's comment says; undefined when it is not that of a collection. Whoever may run SQL may have changed it. */
function readComment(name: string, comment: string, dimension: number): Collection | undefined {
  if (!comment.startsWith(commentPrefix)) return undefined
  try {
    const { metric, language, createdAt, index } = JSON.parse(comment.slice(commentPrefix.length)) as Collection
    if (!['cosine', 'l2', 'inner_product'].includes(metric) || !(dimension > 0)) return undefined
    return { name, dimension, metric, index, language: String(language), createdAt: Number(createdAt) }
  } catch {
    return undefined
  }
}

function sameAs(there: Collection, wanted: Collection): Collection {
  const show = ({ dimension, metric, index, language }: Collection) =>
    `dimension ${dimension}, metric ${metric}, ${index ? `index with m ${index.m} and efConstruction ${index.efConstruction}` : 'no index'}, language ${language}`
  if (show(there) === show(wanted)) return there
  throw new MillraceError(
    'ALREADY_EXISTS',
    `The collection '${there.name}' is there with ${show(there)}; delete it first to make it anew with ${show(wanted)}.`,
  )
}

function checkDimension(path: string, dimension: number, collection: Collection): void {
  if (dimension === collection.dimension) return
  const message = `has ${dimension} numbers; vectors of '${collection.name}' have ${collection.dimension}`
  throw new MillraceError('VALIDATION', `${path}: ${message}`, { fields: [{ path, message }] })
}

/** Says how far the index looks. With a filter it goes on until there are enough, in the right order. */
async function beginSearch({ connection, collection }: Place, { dimension, candidates }: Search | HybridSearch): Promise<void> {
  checkDimension('vector', dimension, collection)
  if (collection.index) await connection.script(`SET LOCAL hnsw.ef_search = ${candidates}; SET LOCAL hnsw.iterative_scan = strict_order`)
}

/** Bytes of texts and metadata in one answer: more than what clients take would fill the memory for nobody. */
const mostBytes = 64 << 20
/** Bytes of a number as Postgres writes it, at most. */
const numberBytes = 16

/** What one answer may hold. How much vectors take is known, and bounded by itself. */
function boundsOf({ dimension }: Collection, vectors: number): ResultBounds {
  return { rows: 1000, bytes: mostBytes + vectors * dimension * numberBytes }
}

function anyOf(ids: readonly string[]) {
  const bindings = new Bindings()
  return { sql: `IN (${ids.map((id) => bindings.add(id)).join(', ')})`, values: bindings.values }
}

function toItem([id, vector, text, metadata]: SqlOutcome['rows'][number]): Item {
  return { id: id!, vector: vector ?? undefined, text: text!, metadata: metadata! }
}

function toMatches({ rows }: SqlOutcome): Match[] {
  return rows.map((row) => ({ item: toItem(row), score: Number(row[4]) }))
}
