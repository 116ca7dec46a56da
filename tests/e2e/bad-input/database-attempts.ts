import { json } from '../raw/raw.ts'
import type { Attempt, Loot } from './attempt.ts'

const objectOf = ({ store }: Loot) => ({ bucket: store, key: store })
const databaseOf = ({ store: database }: Loot) => ({ database })
const sqlOf = (sql: string) => (loot: Loot) => ({ ...databaseOf(loot), sql })

/** The RPCs of analytical databases. */
export const databaseAttempts: Readonly<Record<string, Attempt>> = {
  'DatabaseService/CreateDatabase': { scope: 'databases:write', request: databaseOf, stranger: { created: true } },
  'DatabaseService/ListDatabases': { scope: 'databases:read', request: () => ({}), stranger: { databases: [], nextCursor: '' } },
  'DatabaseService/GetDatabase': { scope: 'databases:read', request: databaseOf, stranger: 'NOT_FOUND' },
  'DatabaseService/DropDatabase': { scope: 'databases:write', request: databaseOf, stranger: { dropped: false } },
  'DatabaseService/CreateTable': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), table: 't', columns: [{ name: 'a', type: 'INTEGER' }] }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/ListTables': { scope: 'databases:read', request: databaseOf, stranger: 'NOT_FOUND' },
  'DatabaseService/GetTable': {
    scope: 'databases:read',
    request: (loot) => ({ ...databaseOf(loot), table: 'safe' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/GetTableStatistics': {
    scope: 'databases:read',
    request: (loot) => ({ ...databaseOf(loot), table: 'safe' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/DropTable': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), table: 'safe' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/CreateView': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), view: 'v', sql: 'SELECT 1' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/DropView': { scope: 'databases:write', request: (loot) => ({ ...databaseOf(loot), view: 'v' }), stranger: 'NOT_FOUND' },
  'DatabaseService/ExecuteStatement': { scope: 'databases:write', request: sqlOf('DELETE FROM safe'), stranger: 'NOT_FOUND' },
  'DatabaseService/ExecuteBatch': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), statements: [{ sql: 'DELETE FROM safe' }] }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/QueryRows': { scope: 'databases:read', request: sqlOf('FROM safe'), stranger: 'NOT_FOUND' },
  'DatabaseService/StreamRows': { scope: 'databases:read', request: sqlOf('FROM safe'), stranger: 'NOT_FOUND' },
  'DatabaseService/WriteUpload': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), upload: '0123456789abcdef', data: json('MQ==') }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/ImportUpload': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), upload: '0123456789abcdef', table: 'safe', format: 'FILE_FORMAT_JSON' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/ImportObject': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), ...objectOf(loot), table: 'mine', format: 'FILE_FORMAT_CSV' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/QueryObject': {
    scope: 'databases:read',
    request: (loot) => ({ ...databaseOf(loot), ...objectOf(loot), format: 'FILE_FORMAT_CSV' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/ExportObject': {
    scope: 'databases:read',
    request: (loot) => ({ ...databaseOf(loot), ...objectOf(loot), table: 'safe', format: 'FILE_FORMAT_CSV' }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/BackupDatabase': {
    scope: 'databases:read',
    request: (loot) => ({ ...databaseOf(loot), ...objectOf(loot) }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/RestoreDatabase': {
    scope: 'databases:write',
    request: (loot) => ({ ...databaseOf(loot), ...objectOf(loot), replace: true }),
    stranger: 'NOT_FOUND',
  },
  'DatabaseService/ExplainQuery': { scope: 'databases:read', request: sqlOf('FROM safe'), stranger: 'NOT_FOUND' },
}
