import { postgresVersion, startPostgres, whyMissing } from '@millrace/dev'
import pg from 'pg'
import { afterAll, beforeEach } from 'vitest'

/** Databases for tests: on the Postgres of `MILLRACE_TEST_POSTGRES_URL`, or on a private one. */
export interface TestServer extends AsyncDisposable {
  /** Why there is none. */
  readonly missing?: string
  /** It is that of the environment, not one of our own. */
  readonly given?: boolean
  /** Makes an empty database. */
  create(): Promise<TestDatabase>
}

/** An empty database. */
export interface TestDatabase {
  readonly url: string
  /** Gives it back, to be emptied and used again: making one takes longer than all else in most tests. */
  drop(): Promise<void>
}

/** A Postgres for the tests of a file. Where none is installed, they are skipped and say so. */
export async function useTestServer(): Promise<TestServer> {
  const server = await openTestServer()
  beforeEach(({ skip }) => {
    if (server.missing) skip(server.missing)
  })
  return server
}

/** A Postgres for those tests of a file that ask for it. */
export async function openTestServer(): Promise<TestServer> {
  const missing = whyNoServer()
  if (missing) return { missing, create: () => Promise.reject(new Error(missing)), async [Symbol.asyncDispose]() {} }
  const server = await startTestServer()
  afterAll(() => server[Symbol.asyncDispose]())
  return server
}

function whyNoServer(): string | undefined {
  return process.env.MILLRACE_TEST_POSTGRES_URL ? undefined : whyMissing(postgresVersion)
}

/** Starts a Postgres for tests, which does not wait for the disk; or uses the one that the environment names. */
async function startTestServer(): Promise<TestServer> {
  const given = process.env.MILLRACE_TEST_POSTGRES_URL
  const own = given ? undefined : await startPostgres({ fsync: false })
  const serverUrl = given ?? own!.url
  const urlOf = (name: string) => Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href
  const made: string[] = []
  const free: string[] = []
  return {
    given: given !== undefined,
    async create() {
      const name = free.pop() ?? `millrace_test_${process.pid}_${made.length + 1}`
      if (!made.includes(name)) {
        await sql(serverUrl, `CREATE DATABASE ${name}`)
        made.push(name)
      }
      const drop = async () => {
        await sql(urlOf(name), endOthers)
        await sql(urlOf(name), 'DROP SCHEMA IF EXISTS millrace CASCADE')
        free.push(name)
      }
      return { url: urlOf(name), drop }
    },
    async [Symbol.asyncDispose]() {
      if (own) await own.stop()
      else for (const name of made) await sql(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

const endOthers = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()'

/** Carries out one statement on a connection of its own; returns its rows. */
export async function sql(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows
  } finally {
    await client.end()
  }
}
