import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Postgres, type PostgresOptions, programs, startPostgres } from './postgres.ts'

/** Where install-pgvector.sh puts a Postgres that has pgvector, on a Debian that has none. */
const installed = '/var/cache/millrace/postgres-17/usr/lib/postgresql/17/bin'

/** The folder of the programs of a Postgres that has pgvector: the machine's own, or what install-pgvector.sh put there. Throws when there is none. */
export function pgvectorPrograms(): string {
  const own = existsSync('/usr/share/postgresql') ? readdirSync('/usr/share/postgresql') : []
  const withVector = own.filter((version) => existsSync(join('/usr/share/postgresql', version, 'extension/vector.control')))
  const folder = [...withVector.map((version) => join('/usr/lib/postgresql', version, 'bin')), installed].find((bin) =>
    existsSync(join(bin, 'postgres')),
  )
  if (folder === undefined) {
    // Where there is no Postgres at all, that is what is missing.
    programs()
    throw new Error('pgvector was not found. Install it: apt-get install postgresql-17-pgvector, or bash tools/dev/install-pgvector.sh')
  }
  return folder
}

/** Starts a Postgres that has pgvector, on a free port with an empty cluster. Throws when none is installed. */
export function startPgvector(options: PostgresOptions = {}): Promise<Postgres> {
  return startPostgres({ ...options, programs: pgvectorPrograms() })
}
