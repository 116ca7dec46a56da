import type { ServerConfig } from './config/settings.ts'
import type { SchemaReport } from './store/schema-report.ts'
import type { StoreArchive } from './store/sections.ts'

/** What is done to a store without a server. */
export interface StoreTools {
  /** The store, for people; without a password. */
  readonly place: string
  /** Compares its schema with what this version makes. */
  checkSchema(): Promise<SchemaReport>
  /** Brings its schema to this version's. */
  migrate(): Promise<void>
  /** Opens it to be copied; `create` makes it when it is not there. */
  openArchive(create: boolean): Promise<StoreArchive>
}

/** The directory of a SQLite store. */
export function sqlitePath({ store, data }: Pick<ServerConfig, 'store' | 'data'>): string {
  return store.slice('sqlite:'.length) || data
}

/** The tools of the store that the settings name. Each engine's code is loaded for those alone who use it. */
export function storeTools(config: Pick<ServerConfig, 'store' | 'data'>): StoreTools {
  const { store: url } = config
  if (url.startsWith('postgres')) {
    return {
      place: withoutPassword(url),
      checkSchema: async () => (await import('./store/postgres/schema-check.ts')).checkPostgresSchema(url),
      migrate: async () => (await import('./store/postgres/schema-check.ts')).migratePostgres(url),
      openArchive: async () => (await import('./store/postgres/archive.ts')).openPostgresArchive(url),
    }
  }
  const path = sqlitePath(config)
  return {
    place: `sqlite:${path}`,
    checkSchema: async () => (await import('./store/sqlite/schema-check.ts')).checkSqliteSchema(path),
    migrate: async () => (await import('./store/sqlite/schema-check.ts')).migrateSqlite(path),
    openArchive: async (create) => (await import('./store/sqlite/archive.ts')).openSqliteArchive(path, create),
  }
}

function withoutPassword(text: string): string {
  if (!URL.canParse(text)) return 'postgres'
  const { protocol, host, pathname } = new URL(text)
  return `${protocol}//${host}${pathname}`
}
