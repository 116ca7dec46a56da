import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withServer } from './cli-runner.ts'
import { temporaryFolder } from './harness.ts'

describe('millrace databases import', () => {
  it('makes a table of an object', async () => {
    const { cli } = await withServer()
    await cli('databases', 'create', 'sales')
    await cli('buckets', 'create', 'raw')
    const file = join(await temporaryFolder(), 'a')
    writeFileSync(file, 'id,city\n1,Oslo\n2,Rome\n')
    await cli('objects', 'put', 'raw', 'orders', file)
    const load = ['databases', 'import', 'sales', 'orders', 'raw', 'orders']
    expect(await cli(...load)).toMatchObject({ code: 1, stderr: expect.stringContaining('csv, parquet and json') })
    expect(await cli(...load, '--format', 'csv')).toMatchObject({ code: 0, stdout: '2 rows\n' })
    expect((await cli(...load, '--format', 'csv', '--mode', 'append', '--json')).json()).toEqual([{ rows: 2 }])
    expect(await cli(...load, '--mode', 'merge')).toMatchObject({ code: 2, stderr: expect.stringContaining('create, append, replace') })
    expect((await cli('sql', 'sales', 'SELECT count(*) AS n FROM orders', '--json')).json()).toEqual([{ n: 4 }])
  })
})

describe('millrace databases export', () => {
  it('makes an object of a table, or of a query', async () => {
    const { cli } = await withServer()
    await cli('databases', 'create', 'sales')
    await cli('buckets', 'create', 'raw')
    await cli('sql', 'sales', `CREATE TABLE orders AS SELECT range AS id, 'Oslo' AS city FROM range(3)`)
    const save = ['databases', 'export', 'sales']
    expect(await cli(...save, 'orders', 'raw', 'a.csv')).toMatchObject({ code: 0, stdout: '3 rows, 29 bytes\n' })
    const query = [...save, 'SELECT id FROM orders WHERE id > $1', 'raw', 'b', '--query', '--format', 'csv', '--parameters', '[1]']
    expect(await cli(...query)).toMatchObject({ code: 0, stdout: '1 row, 5 bytes\n' })
    expect((await cli(...query, '--json')).json()).toEqual([{ rows: 1, size: 5, etag: expect.stringMatching(/^[0-9a-f]{64}$/) }])
    expect(await cli(...save, 'nope', 'raw', 'a.csv')).toMatchObject({ code: 1, stderr: expect.stringContaining("'nope'") })
    expect(await cli(...save, 'orders', 'raw', 'a')).toMatchObject({ code: 1, stderr: expect.stringContaining('csv, parquet and json') })
  })
})

describe('millrace databases backup and restore', () => {
  it('make an object of a database, and a database of that', async () => {
    const { cli } = await withServer()
    await cli('databases', 'create', 'sales')
    await cli('buckets', 'create', 'backups')
    await cli('sql', 'sales', 'CREATE TABLE orders AS FROM range(3)')
    expect(await cli('databases', 'backup', 'sales', 'backups', 'monday')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+ bytes\n$/),
    })
    const again = ['databases', 'restore', 'sales', 'backups', 'monday']
    expect(await cli(...again)).toMatchObject({ code: 1, stderr: expect.stringContaining('already') })
    await cli('sql', 'sales', 'DROP TABLE orders')
    expect(await cli(...again, '--replace')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^restored, \d+ bytes\n$/) })
    expect((await cli('sql', 'sales', 'SELECT count(*) AS n FROM orders', '--json')).json()).toEqual([{ n: 3 }])
    const [copy] = (await cli('databases', 'restore', 'copy', 'backups', 'monday', '--json')).json()
    expect(copy).toMatchObject({ name: 'copy' })
    expect(await cli('databases', 'restore', 'x', 'backups', 'tuesday')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('tuesday'),
    })
  })
})
