import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { run, Sink, withServer } from './cli-runner.ts'

it('makes tables by migrations, fills and reads them, and writes their types', { timeout: 120_000 }, async () => {
  const { cli, env } = await withServer()
  const directory = mkdtempSync(join(tmpdir(), 'millrace-migrations-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))

  expect(await cli('tables', 'migrate', directory)).toMatchObject({ code: 2, stderr: expect.stringContaining('has no files *.sql') })
  writeFileSync(join(directory, '001_users.sql'), 'CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE, age int)')
  writeFileSync(join(directory, '002_old.sql'), '\ufeffCREATE VIEW old AS SELECT * FROM users WHERE age > 60')
  expect((await cli('tables', 'migrate', directory, '--dry-run')).stdout).toBe(
    'would carry out 001_users.sql\nwould carry out 002_old.sql\n',
  )
  expect((await cli('tables', 'migrate', directory)).stdout).toBe('carried out 001_users.sql\ncarried out 002_old.sql\n')
  expect((await cli('tables', 'migrate', directory)).stdout).toBe('Everything was carried out before.\n')
  writeFileSync(join(directory, '002_old.sql'), 'CREATE VIEW old AS SELECT * FROM users')
  expect(await cli('tables', 'migrate', directory)).toMatchObject({ code: 1, stderr: expect.stringContaining('002_old.sql') })

  expect((await cli('tables', 'list')).stdout).toMatch(/^users +table +3 +id +off$/m)
  expect((await cli('tables', 'list', '--json')).json().map(({ name }) => name)).toEqual(['old', 'users'])
  expect((await cli('tables', 'describe', 'users')).stdout).toMatch(/^name +text +not null/m)
  expect(await cli('tables', 'describe', 'nothing')).toMatchObject({ code: 1, stderr: expect.stringContaining("no table 'nothing'") })

  expect((await cli('tables', 'insert', 'users', '{"name":"Ann","age":30}', '--json')).json()).toEqual([{ id: 1, name: 'Ann', age: 30 }])
  const rows = '[{"name":"Bob","age":25},{"name":"Ann","age":31}]'
  const upserted = await run(['tables', 'insert', 'users', '-', '--on-conflict', 'name', '--json'], env, rows)
  expect(upserted.json()).toMatchObject([
    { name: 'Bob', age: 25 },
    { name: 'Ann', age: 31 },
  ])
  expect(await cli('tables', 'insert', 'users', '{"name":"Ann"}')).toMatchObject({ code: 1, stderr: expect.stringContaining('Ann') })
  expect(await cli('tables', 'insert', 'users', '{name')).toMatchObject({ code: 1, stderr: expect.stringContaining('is not valid JSON') })

  const select = ['tables', 'select', 'users', '--where', 'age>20', '--order', 'age.desc', '--columns', 'name,age']
  expect((await cli(...select)).stdout).toMatch(/^NAME +AGE\nAnn +31\nBob +25\n$/)
  expect((await cli(...select, '--limit', '1', '--offset', '1', '--json')).json()).toEqual([{ name: 'Bob', age: 25 }])
  expect(await cli('tables', 'select', 'users', '--where', 'ag>20')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("Did you mean 'age'?"),
  })

  const older = ['tables', 'sql', 'SELECT name FROM users WHERE age > $1', '--value', '30']
  expect((await cli(...older, '--json')).json()).toEqual([{ name: 'Ann' }])
  expect((await cli('tables', 'sql', 'UPDATE users SET age = age + 1')).stdout).toBe('UPDATE 2\n')
  expect(await cli('tables', 'sql', 'SELEC 1')).toMatchObject({ code: 1, stderr: expect.stringContaining('syntax error') })
  expect((await cli('tables', 'types')).stdout).toMatch(/interface UsersRow \{[^}]*name: string/)

  const domains = `CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN small AS positive CHECK (VALUE < 10);
    CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN today AS mood; CREATE DOMAIN several AS small[];
    CREATE DOMAIN known AS text NOT NULL; CREATE DOMAIN named AS known;
    CREATE TABLE things (a small, b small[] NOT NULL, c several NOT NULL, d today NOT NULL, e numeric(9, 2) NOT NULL, f varchar(9)[] NOT NULL,
      g named, h known[]);
    CREATE VIEW views AS SELECT g FROM things`
  for (const statement of domains.split(';')) await cli('tables', 'sql', statement)
  expect((await cli('tables', 'types')).stdout).toContain(`export interface ThingsRow {
  a: number | null
  b: (number | null)[]
  c: (number | null)[]
  d: "good" | "bad"
  e: string
  f: (string | null)[]
  g: string
  h: (string | null)[] | null
}`)
  expect((await cli('tables', 'types')).stdout).toContain(`export interface ViewsRow {\n  g: string | null\n}`)
  const row = { a: 1, b: [1, 2], c: [3], d: 'bad', e: '1.50', f: ['x'], g: 'y', h: null }
  expect((await cli('tables', 'insert', 'things', JSON.stringify(row), '--json')).json()).toEqual([row])
  expect((await cli('tables', 'describe', 'things')).stdout).toMatch(/^a +small/m)
})

it('follows the changes of a table', { timeout: 120_000 }, async () => {
  const { cli, admin, env } = await withServer()
  await cli('tables', 'sql', 'CREATE TABLE users (name text, age int)')
  let cursor = ''
  for await (const first of admin.tables.watchRowChanges({ table: 'users', columns: '', filter: undefined, after: '', asUser: '' })) {
    cursor = first.cursor
    break
  }
  await cli('tables', 'insert', 'users', '[{"name":"Ann","age":30},{"name":"Kid","age":9}]')
  await cli('tables', 'sql', 'UPDATE users SET age = age + 1')
  await cli('tables', 'sql', `DELETE FROM users WHERE name = 'Ann'`)
  const follow = ['tables', 'changes', 'users', '--where', 'age>18', '--after', cursor]
  const [plain, json] = [new Sink(), new Sink()]
  const following = [run(follow, env, '', plain), run([...follow, '--json'], env, '', json)]
  await Promise.all([plain.lines(3), json.lines(3)])
  expect(plain.text).toMatch(
    /Z insert \{"name":"Ann","age":30\}\n.*Z update \{"name":"Ann","age":31\} was \{"name":"Ann","age":30\}\n.*Z delete/,
  )
  expect(await cli('tables', 'changes', 'users', '--after', 'x')).toMatchObject({ code: 1, stderr: expect.stringContaining('after') })
  await cli('tables', 'sql', 'DROP TABLE users')
  const [, last] = await Promise.all(following)
  expect(last).toMatchObject({ code: 1, stderr: expect.stringContaining("'users' is gone") })
  expect(last!.json()).toMatchObject([
    { type: 'insert', row: { name: 'Ann', age: 30 }, cursor: expect.any(String) },
    { type: 'update', row: { name: 'Ann', age: 31 }, old: { age: 30 } },
    { type: 'delete', row: { name: 'Ann', age: 31 } },
  ])
})
