import { createHash, randomBytes } from 'node:crypto'
import type { Scope } from '../../store/ports.ts'
import {
  changesChannel,
  type Login,
  LoginRefused,
  type ResultBounds,
  SqlError,
  type SqlOutcome,
  type TableConnection,
  type TableDatabase,
} from './backend.ts'
import { quoted, schemaOf } from './identifiers.ts'
import type { Statement } from './statements.ts'

/** The server's own schema. */
const own = 'millrace_tables'
/** Of extensions and functions that all may use. */
const sharedSchema = 'millrace_extensions'
/** The function of the triggers that tell of changes: those of all namespaces. It runs with the rights of who changes rows. */
export const changesFunction = `${sharedSchema}.rows_changed`

/** Namespaces whose logins are kept in memory. */
const mostKnown = 10_000

/** A namespace's place in Postgres. */
export interface Place {
  /** Its schema. */
  readonly schema: string
  /** Who owns its tables. */
  readonly owner: Login
  /** Whom its users act as. */
  readonly userRole: string
}

/** Names the role of a namespace's users. */
function userRoleOf(role: string): string {
  return `${role}_user`
}

/** Knows each namespace's schema and roles, and makes them. */
export class TableNamespaces {
  readonly #database: TableDatabase
  readonly #known = new Map<string, Place>()
  #installation: Promise<string> | undefined

  constructor(database: TableDatabase) {
    this.#database = database
  }

  /** A namespace's place; undefined when it has none yet. */
  async find(scope: Scope): Promise<Place | undefined> {
    const key = keyOf(scope)
    const known = this.#known.get(key)
    if (known) return known
    const role = schemaOf(await this.#prepare(), scope)
    const password = await this.#database.asServer(async (connection) => {
      const { rows } = await connection.query(
        `SELECT password FROM ${own}.namespaces WHERE tenant = $1 AND namespace = $2`,
        valuesOf(scope),
      )
      return rows[0]?.[0]
    })
    return typeof password === 'string' ? this.#keep(key, role, password) : undefined
  }

  /** A namespace's place, made when it has none. */
  async ensure(scope: Scope): Promise<Place> {
    const found = await this.find(scope)
    if (found) return found
    const role = schemaOf(await this.#prepare(), scope)
    await this.#database.asServer((connection) => transaction(connection, () => createPlace(connection, scope, role)))
    const made = (await this.find(scope))!
    await this.#database.asRole(made.owner, async (connection) => {
      // What the owner makes from now on, its users may use; what rows they see, policies say.
      const grants = `ALTER DEFAULT PRIVILEGES IN SCHEMA ${quoted(role)} GRANT`
      await connection.query(`${grants} SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${quoted(made.userRole)}`)
      await connection.query(`${grants} USAGE, SELECT ON SEQUENCES TO ${quoted(made.userRole)}`)
    })
    return made
  }

  /** Works as the owner of a namespace's tables. */
  asOwner<T>(scope: Scope, place: Place, raw: boolean, work: (connection: TableConnection) => Promise<T>): Promise<T> {
    return this.#loggedIn(scope, place, (owner) => this.#database.asRole(owner, work, raw))
  }

  /** Carries out a statement that reads or inserts as the owner of a namespace's tables. */
  share(kind: 'read' | 'insert', scope: Scope, place: Place, { text, values }: Statement, bounds: ResultBounds): Promise<SqlOutcome> {
    return this.#loggedIn(scope, place, (owner) => this.#database[kind](owner, text, values, bounds))
  }

  /** Logs in. A password that its owner changed is set anew. */
  async #loggedIn<T>(scope: Scope, { owner }: Place, work: (owner: Login) => Promise<T>): Promise<T> {
    try {
      return await work(owner)
    } catch (error) {
      if (!(error instanceof LoginRefused)) throw error
      const password = newPassword()
      await this.#database.asServer((connection) =>
        transaction(connection, async () => {
          await connection.query(`ALTER ROLE ${quoted(owner.role)} LOGIN PASSWORD '${password}'`)
          const text = `UPDATE ${own}.namespaces SET password = $3 WHERE tenant = $1 AND namespace = $2`
          await connection.query(text, [...valuesOf(scope), password])
        }),
      )
      return work(this.#keep(keyOf(scope), owner.role, password).owner)
    }
  }

  #keep(key: string, role: string, password: string): Place {
    const owner = { role, password, searchPath: `${quoted(role)},${sharedSchema}` }
    const place = { schema: role, owner, userRole: userRoleOf(role) }
    if (this.#known.size >= mostKnown) this.#known.clear()
    this.#known.set(key, place)
    return place
  }

  /** Makes what all namespaces share, once; yields what tells this database's roles from those of others. */
  #prepare(): Promise<string> {
    this.#installation ??= this.#database.asServer(prepare).catch((error) => {
      this.#installation = undefined
      throw error
    })
    return this.#installation
  }
}

function keyOf({ tenant, namespace }: Scope): string {
  return `${tenant}/${namespace}`
}

function valuesOf({ tenant, namespace }: Scope): string[] {
  return [String(tenant), namespace]
}

function newPassword(): string {
  return randomBytes(24).toString('hex')
}

/** Runs work in a transaction of its own. */
export async function transaction<T>(connection: TableConnection, work: () => Promise<T>, begin = 'BEGIN'): Promise<T> {
  await connection.query(begin)
  try {
    const result = await work()
    await connection.query('COMMIT')
    return result
  } catch (error) {
    // A connection that broke has rolled back by itself.
    await connection.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Errors of two servers that make the same thing: it is there now. */
const raced = /^(23505|42P06|42P07|42710|XX000)$/

async function prepare(connection: TableConnection): Promise<string> {
  return makeShared(connection).catch((error) => {
    if (error instanceof SqlError && raced.test(error.code)) return makeShared(connection)
    throw error
  })
}

function makeShared(connection: TableConnection): Promise<string> {
  return transaction(connection, async () => {
    await connection.query(`CREATE SCHEMA IF NOT EXISTS ${own}`)
    await connection.query(`REVOKE ALL ON SCHEMA ${own} FROM PUBLIC`)
    await connection.query(
      `CREATE TABLE IF NOT EXISTS ${own}.namespaces (tenant bigint, namespace text, password text NOT NULL,
       created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant, namespace))`,
    )
    await connection.query(`CREATE SCHEMA IF NOT EXISTS ${sharedSchema}`)
    await connection.query(`GRANT USAGE ON SCHEMA ${sharedSchema} TO PUBLIC`)
    await connection.query(
      `CREATE OR REPLACE FUNCTION ${changesFunction}() RETURNS trigger LANGUAGE plpgsql AS
       'BEGIN PERFORM pg_catalog.pg_notify(''${changesChannel}'', TG_TABLE_SCHEMA); RETURN NULL; END'`,
    )
    const { rows } = await connection.query('SELECT current_database(), oid FROM pg_catalog.pg_database WHERE datname = current_database()')
    const { rows: available } = await connection.query(`SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'vector'`)
    if (available.length > 0) await makeVector(connection)
    return createHash('sha256').update(rows[0]!.join('/')).digest('hex').slice(0, 8)
  })
}

/** The extension for vectors, when the server's user may make it. */
async function makeVector(connection: TableConnection): Promise<void> {
  await connection.query('SAVEPOINT vector')
  try {
    await connection.query(`CREATE EXTENSION IF NOT EXISTS vector SCHEMA ${sharedSchema}`)
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    await connection.query('ROLLBACK TO SAVEPOINT vector')
  }
}

/** Makes a namespace's schema, which the server keeps: its owner can make tables in it, and show it to nobody else. */
async function createPlace(connection: TableConnection, scope: Scope, role: string): Promise<void> {
  // One server at a time; no advisory lock, which a namespace's owner could hold.
  await connection.query(`LOCK TABLE ${own}.namespaces IN SHARE ROW EXCLUSIVE MODE`)
  const { rows } = await connection.query(`SELECT FROM ${own}.namespaces WHERE tenant = $1 AND namespace = $2`, valuesOf(scope))
  if (rows.length > 0) return
  const [owner, users] = [quoted(role), quoted(userRoleOf(role))]
  const { rows: roles } = await connection.query('SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ($1, $2)', [
    role,
    userRoleOf(role),
  ])
  const has = (name: string) => roles.some(([known]) => known === name)
  const password = newPassword()
  if (!has(userRoleOf(role))) await connection.query(`CREATE ROLE ${users} NOLOGIN`)
  await connection.query(`${has(role) ? 'ALTER' : 'CREATE'} ROLE ${owner} LOGIN PASSWORD '${password}'`)
  await connection.query(`GRANT ${users} TO ${owner}`)
  await connection.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(role)}`)
  await connection.query(`GRANT USAGE, CREATE ON SCHEMA ${quoted(role)} TO ${owner}`)
  await connection.query(`GRANT USAGE ON SCHEMA ${quoted(role)} TO ${users}`)
  await connection.query(`INSERT INTO ${own}.namespaces (tenant, namespace, password) VALUES ($1, $2, $3)`, [...valuesOf(scope), password])
}
