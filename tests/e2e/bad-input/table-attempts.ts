import type { Attempt, Loot } from './attempt.ts'

const tableOf = ({ store: table }: Loot) => ({ table })
const collectionOf = ({ collection: name }: Loot) => ({ name })
const nearOf = (loot: Loot) => ({ ...collectionOf(loot), vector: { values: [1, 2] } })
const jsonOf = (value: unknown) => Buffer.from(JSON.stringify(value))

/** What is tried with tables and vectors. */
export const tableAttempts: Readonly<Record<string, Attempt>> = {
  'TableService/SelectRows': { scope: 'tables:read', request: tableOf, stranger: 'NOT_FOUND' },
  'TableService/WatchRows': { scope: 'tables:read', request: tableOf, stranger: 'NOT_FOUND' },
  'TableService/WatchRowChanges': { scope: 'tables:read', request: tableOf, stranger: 'NOT_FOUND' },
  'TableService/CountRows': { scope: 'tables:read', request: tableOf, stranger: 'NOT_FOUND' },
  'TableService/ReadRows': {
    scope: 'tables:read',
    request: (loot) => ({ reads: [{ select: tableOf(loot) }] }),
    stranger: { results: [{ error: { reason: 'NOT_FOUND' } }] },
  },
  'TableService/WriteRows': {
    scope: 'tables:write',
    request: (loot) => ({ writes: [{ delete: { ...tableOf(loot), all: true } }] }),
    stranger: { results: [{ error: { reason: 'NOT_FOUND' } }] },
  },
  'TableService/InsertRows': {
    scope: 'tables:write',
    request: ({ store: table }) => ({ table, rows: jsonOf({ id: 2 }) }),
    stranger: 'NOT_FOUND',
  },
  'TableService/UpdateRows': {
    scope: 'tables:write',
    request: ({ store: table }) => ({ table, values: jsonOf({ word: 'mine' }), all: true }),
    stranger: 'NOT_FOUND',
  },
  'TableService/DeleteRows': { scope: 'tables:write', request: ({ store: table }) => ({ table, all: true }), stranger: 'NOT_FOUND' },
  'TableService/CallFunction': { scope: 'tables:write', request: ({ store }) => ({ function: store }), stranger: 'NOT_FOUND' },
  'TableService/RunSql': { scope: 'tables:sql', request: ({ store }) => ({ text: `SELECT * FROM "${store}"` }), stranger: 'NOT_FOUND' },
  'TableService/DescribeTables': { scope: 'tables:read', request: () => ({}), stranger: { tables: [] } },
  'TableService/ApplyMigrations': {
    scope: 'tables:sql',
    request: () => ({ migrations: [{ name: 'mine', sql: 'SELECT 1' }] }),
    stranger: { alreadyApplied: [] },
  },
  'VectorService/CreateVectorCollection': {
    scope: 'vectors:write',
    request: () => ({ name: 'mine', dimension: 2 }),
    stranger: { collection: { name: 'mine' }, created: true },
  },
  'VectorService/GetVectorCollection': { scope: 'vectors:read', request: collectionOf, stranger: 'NOT_FOUND' },
  'VectorService/ListVectorCollections': { scope: 'vectors:read', request: () => ({}), stranger: { collections: [] } },
  'VectorService/DeleteVectorCollection': { scope: 'vectors:write', request: collectionOf, stranger: { deleted: false } },
  'VectorService/UpsertVectors': {
    scope: 'vectors:write',
    request: (loot) => ({ ...collectionOf(loot), items: [{ id: 'mine', vector: { values: [1, 2] } }] }),
    stranger: 'NOT_FOUND',
  },
  'VectorService/GetVectors': { scope: 'vectors:read', request: (loot) => ({ ...collectionOf(loot), ids: ['a'] }), stranger: 'NOT_FOUND' },
  'VectorService/DeleteVectors': {
    scope: 'vectors:write',
    request: (loot) => ({ ...collectionOf(loot), ids: ['a'] }),
    stranger: 'NOT_FOUND',
  },
  'VectorService/CountVectors': { scope: 'vectors:read', request: collectionOf, stranger: 'NOT_FOUND' },
  'VectorService/SearchVectors': { scope: 'vectors:read', request: nearOf, stranger: 'NOT_FOUND' },
  'VectorService/HybridSearchVectors': {
    scope: 'vectors:read',
    request: (loot) => ({ ...nearOf(loot), text: 'word' }),
    stranger: 'NOT_FOUND',
  },
}
