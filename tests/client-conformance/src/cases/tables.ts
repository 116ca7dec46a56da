import type { RowChange } from '@millrace/core'
import { type Case, failureOf } from '../kit.ts'

export const tableCases: readonly Case[] = [
  {
    name: 'rows are watched: as they stand, and after changes',
    expected: {
      seen: [[], [{ id: 1, big: '9007199254740993' }], []],
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'table' },
    },
    async run(kit) {
      const mr = kit.client()
      await mr.tables.migrate([{ name: '001_watched.sql', sql: 'CREATE TABLE watched (id int PRIMARY KEY, big bigint, kept bool)' }])
      const table = mr.table<{ id: number; big: bigint; kept: boolean }>('watched')
      const seen: unknown[] = []
      for await (const rows of table.select<{ id: number; big: bigint }>('id, big').where('kept=is.true').order('id').watch()) {
        seen.push(rows.map(({ id, big }) => ({ id, big: String(big) })))
        if (seen.length === 1) await table.insert({ id: 1, big: 9007199254740993n, kept: true })
        else if (seen.length === 2) await table.update({ kept: false }, { all: true })
        else break
      }
      return { seen, missing: await failureOf(mr.table('nothing').select().watch().next()) }
    },
  },
  {
    name: 'rows are added, found, changed and deleted, with every value exact',
    expected: {
      applied: ['001_people.sql'],
      added: [
        {
          id: 1,
          name: 'Ann',
          big: '9007199254740993',
          sum: '0.10',
          tags: ['a', 'b"c'],
          data: { x: [1, null] },
          bytes: [0, 255],
          at: '2026-01-31T12:00:00Z',
        },
      ],
      found: ['Ann'],
      count: 1,
      changed: ['Bea'],
      deleted: 1,
      twice: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409, requestId: 'given' },
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'table' },
      wrong: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['rows'] },
      sum: [{ sum: 3 }],
      tables: ['people'],
    },
    async run(kit) {
      const mr = kit.client()
      const sql = `CREATE TABLE people (id serial PRIMARY KEY, name text UNIQUE, big bigint, sum numeric, tags text[], data jsonb, bytes bytea, at timestamptz)`
      const { applied } = await mr.tables.migrate([{ name: '001_people.sql', sql }])
      const people = mr.table<{ id: number; name: string; big: bigint; bytes: Uint8Array } & Record<string, unknown>>('people')
      const row = { name: 'Ann', big: 9007199254740993n, sum: '0.10', tags: ['a', 'b"c'], data: { x: [1, null] } }
      const added = await people.insert({ ...row, bytes: new Uint8Array([0, 255]), at: new Date('2026-01-31T12:00:00Z') })
      const twice = await failureOf(people.insert({ name: 'Ann' }))
      const found = await people.select('name').where({ big: { gt: 9007199254740992n }, tags: { contains: ['a'] } })
      const count = await people.count('name=like.A*')
      const changed = await people.update({ name: 'Bea' }, { where: 'name=eq.Ann', returning: 'name' })
      return {
        applied,
        added: added.map((each) => ({ ...each, big: String(each.big), bytes: [...each.bytes] })),
        found: found.map(({ name }) => name),
        count,
        changed: changed.map(({ name }) => name),
        deleted: (await people.delete({ all: true })).length,
        twice,
        missing: await failureOf(mr.table('nothing').select().all()),
        wrong: await failureOf(people.insert({ id: 'x' as never })),
        sum: (await mr.tables.sql('SELECT $1::int + $2 AS sum', [1, 2])).rows,
        tables: (await mr.tables.list()).map(({ name }) => name),
      }
    },
  },
  {
    name: 'calls on rows that are made at once share requests, and one that fails fails alone',
    expected: {
      added: [...Array(20).keys()],
      twice: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409, requestId: 'given' },
      found: [...Array(20).keys()].map((id) => [{ id }]),
      count: 20,
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'table' },
      wrong: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['table'] },
      aborted: { name: 'AbortError', code: 'ABORTED', statusCode: 499 },
      changed: [{ id: 1, word: 'one' }],
      deleted: [{ id: 2, word: null }],
      left: 19,
    },
    async run(kit) {
      const mr = kit.client()
      await mr.tables.migrate([{ name: '001_shared.sql', sql: 'CREATE TABLE shared (id int PRIMARY KEY, word text)' }])
      const table = mr.table<{ id: number; word: string | null }>('shared')
      const ids = [...Array(20).keys()]
      await table.insert({ id: 0 })
      const inserts = ids.slice(1).map((id) => table.insert({ id }))
      const twice = failureOf(table.insert({ id: 0 }))
      const added = [0, ...(await Promise.all(inserts)).map(([row]) => row!.id)]
      const reads = ids.map((id) => table.select('id').where({ id }).all())
      const aborted = failureOf(table.select().all({ signal: AbortSignal.abort() }))
      const missing = failureOf(mr.table('nothing').select().all())
      const wrong = failureOf(table.select('wrod').all())
      const [count, found] = [table.count(), await Promise.all(reads)]
      const [changed, deleted] = await Promise.all([
        table.update({ word: 'one' }, { where: { id: 1 } }),
        table.delete({ where: { id: 2 } }),
      ])
      return {
        added,
        twice: await twice,
        found,
        count: await count,
        missing: await missing,
        wrong: await wrong,
        aborted: await aborted,
        changed,
        deleted,
        left: await table.count(),
      }
    },
  },
  {
    name: 'changes of rows are told one by one, and go on after a cursor',
    expected: {
      seen: [
        ['insert', { id: 1, big: '9007199254740993' }],
        ['update', { id: 1, big: '9007199254740993' }, { id: 1, big: '1' }],
        ['delete', { id: 1, big: '1' }],
      ],
      dated: true,
      again: [['update', { id: 1, big: '9007199254740993' }, { id: 1, big: '1' }]],
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'table' },
      cursor: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['after'] },
      aborted: { name: 'AbortError', code: 'ABORTED', statusCode: 499 },
    },
    async run(kit) {
      const mr = kit.client()
      await mr.tables.migrate([{ name: '001_changing.sql', sql: 'CREATE TABLE changing (id int PRIMARY KEY, big bigint, kept bool)' }])
      const table = mr.table<{ id: number; big: bigint; kept: boolean }>('changing')
      const row = ({ id, big }: { id: number; big: bigint }) => ({ id, big: String(big) })
      const shape = (change: RowChange<{ id: number; big: bigint }>) => {
        if (change.type === 'truncate') return [change.type]
        return [change.type, ...('old' in change ? [row(change.old)] : []), row(change.row)]
      }
      let onBegun = (): void => undefined
      const begun = new Promise<void>((resolve) => (onBegun = resolve))
      const seen: RowChange<{ id: number; big: bigint }>[] = []
      const watch = async () => {
        const options = { columns: 'id,big', where: 'kept=is.true', onCursor: () => onBegun() }
        for await (const change of table.changes(options)) if (seen.push(change) === 3) break
      }
      const watching = watch()
      await begun
      await table.insert([
        { id: 1, big: 9007199254740993n, kept: true },
        { id: 2, big: 2n, kept: false },
      ])
      await table.update({ big: 1n }, { where: { id: 1 } })
      await table.update({ kept: false }, { where: { id: 1 } })
      await watching
      const again: unknown[] = []
      for await (const change of table.changes({ columns: 'id,big', where: 'kept=is.true', after: seen[0]!.cursor })) {
        again.push(shape(change))
        break
      }
      const aborting = new AbortController()
      const waiting = failureOf(table.changes({ signal: aborting.signal }).next())
      aborting.abort()
      return {
        seen: seen.map(shape),
        dated: seen.every(({ at }) => at instanceof Date && Math.abs(Date.now() - at.getTime()) < 600_000),
        again,
        missing: await failureOf(mr.table('nothing').changes().next()),
        cursor: await failureOf(table.changes({ after: 'tomorrow' }).next()),
        aborted: await waiting,
      }
    },
  },
]
