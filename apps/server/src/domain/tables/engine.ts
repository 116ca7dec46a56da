import type { RowSet } from '@millrace/protocol'
import { invalid, MillraceError } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type { ResultBounds, SqlOutcome, TableConnection, TableDatabase, TableQueries } from './backend.ts'
import { followTables, tellOfTables } from './changes.ts'
import { type Migrated, type Migration, migrate } from './migrations.ts'
import { type Place, TableNamespaces, transaction } from './namespaces.ts'
import { plainRows, toRowSet } from './rows.ts'
import { type ErrorContext, explain } from './sql-errors.ts'
import type { Statement } from './statements.ts'
import { TableNewsroom } from './table-news.ts'

/** Where a statement acts, and as whom. */
export interface TableSession {
  readonly scope: Scope
  /** A user of the namespace, for whom row-level security holds; '' is the owner of its tables. */
  readonly user: string
  /** True: nothing may change. */
  readonly readOnly?: boolean
}

/** Rows with how many there were. */
export interface TableResult {
  readonly result: RowSet
  readonly affected: number
  readonly command: string
}

/** Begins a statement that changes rows, after comments. Others may be of those that Postgres carries out in no transaction. */
const rowChange = /^(?:\s|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:insert|update|delete|merge|with)\b/i

/** Statements in namespaces. */
export class TableEngine {
  readonly #namespaces: TableNamespaces
  readonly #database: TableDatabase
  readonly #bounds: ResultBounds
  /** What is told of changes. */
  readonly news: TableNewsroom

  /** @param options - the Postgres, and how much one answer may hold. */
  constructor(options: { readonly database: TableDatabase; readonly bounds: ResultBounds }) {
    this.#database = options.database
    this.#namespaces = new TableNamespaces(options.database)
    this.#bounds = { ...options.bounds, taker: plainRows }
    this.news = new TableNewsroom(options.database)
  }

  /**
   * Carries out statements on a table, in one transaction.
   *
   * @param make - makes the statements for the namespace's schema.
   * @param context - what to say of errors.
   * @throws NOT_FOUND when there is no such table, VALIDATION, and what Postgres says.
   */
  async run(session: TableSession, make: (schema: string) => readonly Statement[], context: ErrorContext): Promise<readonly TableResult[]> {
    const place = await this.place(session.scope, context)
    const statements = make(place.schema)
    const alone = statements.length === 1 && session.user === '' && !session.readOnly
    return this.work(
      session,
      place,
      context,
      async (connection) => {
        const results: TableResult[] = []
        for (const { text, values } of statements) {
          const statement = [text, values, this.#bounds] as const
          results.push(await toResult(await (alone ? connection.write(...statement) : connection.query(...statement)), connection))
        }
        return results
      },
      alone,
    )
  }

  /**
   * Carries out one statement that reads.
   *
   * @throws as {@link TableEngine.run}.
   */
  async read(session: TableSession, make: (schema: string) => Statement, context: ErrorContext): Promise<TableResult> {
    if (session.user !== '') return (await this.run({ ...session, readOnly: true }, (schema) => [make(schema)], context))[0]!
    return this.#share('read', session.scope, make, context)
  }

  /**
   * Carries out one statement that adds rows. It may share a transaction with others.
   *
   * @throws as {@link TableEngine.run}.
   */
  async insert(session: TableSession, make: (schema: string) => Statement, context: ErrorContext): Promise<TableResult> {
    if (session.user !== '') return (await this.run(session, (schema) => [make(schema)], context))[0]!
    return this.#share('insert', session.scope, make, context)
  }

  async #share(kind: 'read' | 'insert', scope: Scope, make: (schema: string) => Statement, context: ErrorContext): Promise<TableResult> {
    const place = await this.place(scope, context)
    const ask: TableQueries = {
      query: (...query) => this.#namespaces.asOwner(scope, place, false, (connection) => connection.query(...query)),
    }
    try {
      return await toResult(await this.#namespaces.share(kind, scope, place, make(place.schema), this.#bounds), ask)
    } catch (error) {
      throw await explain(error, { schema: place.schema, ...context }, ask)
    }
  }

  /**
   * Works on a connection as the owner of a namespace's tables, or as a user of it.
   *
   * @param single - true when the work is one statement, which needs no transaction.
   */
  async work<T>(
    { scope, user, readOnly = false }: TableSession,
    place: Place,
    context: ErrorContext,
    work: (connection: TableConnection) => Promise<T>,
    single = false,
  ): Promise<T> {
    return this.#namespaces.asOwner(scope, place, false, async (connection) => {
      try {
        if (single && user === '' && !readOnly) return await work(connection)
        return await transaction(
          connection,
          async () => {
            if (user !== '') {
              const become = `SELECT pg_catalog.set_config('millrace.user', $1, true), pg_catalog.set_config('role', $2, true)`
              await connection.query(become, [user, place.userRole])
            }
            return work(connection)
          },
          readOnly ? 'BEGIN READ ONLY' : 'BEGIN',
        )
      } catch (error) {
        throw await explain(error, { schema: place.schema, ...context }, connection)
      }
    })
  }

  /** Has the tables of a namespace tell of changes to {@link TableEngine.news}. */
  follow(scope: Scope, place: Place): Promise<void> {
    return this.#namespaces.asOwner(scope, place, false, (connection) => followTables(connection, place.schema))
  }

  /** A namespace's place; undefined when it has none. */
  find(scope: Scope): Promise<Place | undefined> {
    return this.#namespaces.find(scope)
  }

  /** A namespace's place. @throws NOT_FOUND when it has none, and so not what is asked for. */
  async place(scope: Scope, context: ErrorContext): Promise<Place> {
    const place = await this.#namespaces.find(scope)
    if (!place) throw nothingThere(context)
    return place
  }

  /** Carries out one statement of the caller's own, as the owner of the namespace's tables. */
  async sql(scope: Scope, { text, values }: Statement): Promise<TableResult> {
    return this.asAuthor(scope, { field: 'text' }, async (connection, { schema, owner }) => {
      const outcome = await (rowChange.test(text)
        ? connection.write(text, values, this.#bounds)
        : connection.query(text, values, this.#bounds))
      // What neither reads nor writes rows may have made tables.
      if (outcome.columns.length === 0 && !/^(INSERT|UPDATE|DELETE|MERGE)$/.test(outcome.command)) {
        await tellOfTables(connection, schema)
        this.#database.forget(owner.role)
      }
      return toResult(outcome, connection)
    })
  }

  /** Carries out migrations, as {@link migrate} does. */
  async migrate(scope: Scope, migrations: readonly Migration[], dryRun: boolean): Promise<Migrated> {
    return this.asAuthor(scope, { field: 'migrations' }, async (connection, { schema, owner }) => {
      try {
        return await migrate(connection, schema, migrations, dryRun)
      } finally {
        this.#database.forget(owner.role)
      }
    })
  }

  /** Works with texts of the caller's own, as the owner of the namespace's tables. The namespace gets its place when it has none. */
  async asAuthor<T>(scope: Scope, context: ErrorContext, work: (connection: TableConnection, place: Place) => Promise<T>): Promise<T> {
    const place = await this.#namespaces.ensure(scope)
    return this.#namespaces.asOwner(scope, place, true, async (connection) => {
      try {
        return await work(connection, place)
      } catch (error) {
        throw await explain(error, context)
      }
    })
  }

  /** Rejects when tables cannot be used: with what to do about it. */
  check(): Promise<void> {
    return this.#database.check()
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.#database.close()
  }
}

async function toResult(outcome: SqlOutcome, connection: TableQueries): Promise<TableResult> {
  const { affected, command } = outcome
  return { result: await toRowSet(outcome, connection), affected, command }
}

function nothingThere({ table, function: name }: ErrorContext): MillraceError {
  const [resource, id] = table !== undefined ? ['table', table] : ['function', name ?? '']
  if (id === '') return invalid(resource, 'is missing')
  return new MillraceError(
    'NOT_FOUND',
    `There is no ${resource} '${id}' in this namespace. Tables are made with: millrace tables migrate`,
    { resource, id },
  )
}
