import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withServer } from './cli-runner.ts'
import { temporaryFolder } from './harness.ts'

describe('millrace kv', () => {
  it('sets, gets, lists and deletes', async () => {
    const { cli } = await withServer()
    expect(await cli('kv', 'set', 'settings', 'theme', '"dark"', '--ttl', '1h')).toMatchObject({ code: 0, stdout: 'revision 1\n' })
    expect(await cli('kv', 'set', 'settings', 'theme', '"dark"', '--ttl', '0')).toMatchObject({ code: 2 })
    expect(await cli('kv', 'get', 'settings', 'theme')).toMatchObject({ code: 0, stdout: '"dark"\n' })
    expect((await cli('kv', 'get', 'settings', 'theme', '--json')).json()).toMatchObject([{ key: 'theme', value: 'dark', revision: 1 }])
    const refused = await cli('kv', 'set', 'settings', 'theme', '1', '--if-absent')
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('is there already, at revision 1') })
    await cli('kv', 'set', 'settings', 'size', '1')
    expect((await cli('kv', 'keys', 'settings')).stdout).toBe('size\ntheme\n')
    expect((await cli('kv', 'keys', 'settings', 't', '--json')).json()).toMatchObject([{ key: 'theme' }])
    expect(await cli('kv', 'delete', 'settings', 'theme')).toMatchObject({ code: 0, stdout: 'deleted\n' })
    expect(await cli('kv', 'delete', 'settings', 'theme')).toMatchObject({ code: 1 })
    expect(await cli('kv', 'get', 'settings', 'theme')).toMatchObject({ code: 1, stderr: expect.stringContaining("no key 'theme'") })
    expect((await cli('kv', 'get', 'settings', 'none')).stderr).toBe("error: There is no key 'none' in 'settings'.\n")
    expect(await cli('kv', 'clear', 'settings')).toMatchObject({ code: 2, stderr: expect.stringContaining('--confirm') })
    expect((await cli('kv', 'clear', 'settings', 'si', '--confirm', '--json')).json()).toEqual([{ deleted: 1 }])
    expect(await cli('kv', 'set', 'settings', 'theme', 'dark')).toMatchObject({ code: 2, stderr: expect.stringContaining('not JSON') })
  })
})

describe('millrace buckets and objects', () => {
  it('writes, lists, reads, copies, presigns and deletes', async () => {
    const { cli } = await withServer()
    expect(await cli('buckets', 'create', 'raw', '--tag', 'team=data')).toMatchObject({ code: 0, stdout: 'raw\n' })
    expect(await cli('buckets', 'create', 'my_bucket')).toMatchObject({ code: 1, stderr: expect.stringContaining('underscore') })
    const file = import.meta.filename
    expect(await cli('objects', 'put', 'raw', 'src/cli.ts', file, '--meta', 'a=b')).toMatchObject({ code: 0 })
    expect((await cli('objects', 'get', 'raw', 'src/cli.ts')).stdout).toBe(readFileSync(file, 'utf8'))
    expect((await cli('objects', 'get', 'raw', 'src/cli.ts', '--length', '6')).stdout).toBe('import')
    expect((await cli('objects', 'ls', 'raw')).stdout.trim()).toBe('src/')
    expect((await cli('objects', 'ls', 'raw', '--recursive', '--json')).json()).toMatchObject([{ key: 'src/cli.ts' }])
    expect((await cli('objects', 'stat', 'raw', 'src/cli.ts', '--json')).json()).toMatchObject([{ metadata: { a: 'b' } }])
    expect((await cli('objects', 'cp', 'raw', 'src/cli.ts', 'new', '--move')).stdout).toBe('raw/new\n')
    expect((await cli('objects', 'presign', 'raw', 'new', '--expires', '5m')).stdout).toMatch(/^http.*\/v1\/buckets\/raw\/objects\/new\?/)
    expect(await cli('buckets', 'delete', 'raw')).toMatchObject({ code: 1, stderr: expect.stringContaining('not empty') })
    expect(await cli('objects', 'rm', 'raw', 'new')).toMatchObject({ code: 0, stdout: 'deleted\n' })
    expect(await cli('objects', 'rm', 'raw', 'new')).toMatchObject({ code: 1 })
    expect((await cli('objects', 'stat', 'raw', 'new')).stderr).toBe("error: There is no object 'new' in 'raw'.\n")
    expect(await cli('objects', 'put', 'raw', 'k', '/nowhere')).toMatchObject({ code: 2, stderr: expect.stringContaining('/nowhere') })
    expect((await cli('buckets', 'info', 'raw', '--json')).json()).toMatchObject([
      { objects: 0, tags: { team: 'data' }, policy: 'private' },
    ])
    expect((await cli('buckets', 'list')).stdout).toContain('raw')
    expect(await cli('buckets', 'delete', 'raw')).toMatchObject({ code: 0 })
  })

  it('leaves what is there when it fails, and says why', async () => {
    const { cli } = await withServer()
    await cli('buckets', 'create', 'raw')
    const folder = await temporaryFolder()
    const file = join(folder, 'a')
    writeFileSync(file, 'mine')
    expect(await cli('objects', 'get', 'raw', 'none', file)).toMatchObject({
      code: 1,
      stderr: "error: There is no object 'none' in 'raw'.\n",
    })
    expect(readFileSync(file, 'utf8')).toBe('mine')
    const refused = await cli('objects', 'put', 'raw', 'k', folder)
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(`error: The file ${folder} cannot be used (EISDIR`) })
    expect(await cli('objects', 'stat', 'raw', 'k')).toMatchObject({ code: 1 })
    writeFileSync(file, '')
    expect(await cli('objects', 'put', 'raw', 'empty', file)).toMatchObject({ code: 0 })
    writeFileSync(file, 'mine')
    expect(await cli('objects', 'get', 'raw', 'empty', file)).toMatchObject({ code: 0 })
    expect(readFileSync(file, 'utf8')).toBe('')
  })
})

describe('millrace streams', () => {
  it('creates, writes, reads and lists', async () => {
    const { cli } = await withServer()
    expect(await cli('streams', 'create', 'orders', '--partitions', '2', '--max-age', '7d')).toMatchObject({
      code: 0,
      stdout: 'orders: 2 partitions\n',
    })
    expect((await cli('streams', 'write', 'orders', '{"id":1}', '--partition', '1', '--header', 'a=b')).stdout).toBe(
      'partition 1, offset 0\n',
    )
    expect((await cli('streams', 'write', 'orders', '{"id":2}', '--partition', '1', '--message-key', 'k', '--json')).json()).toEqual([
      { partition: 1, offset: 1 },
    ])
    expect((await cli('streams', 'read', 'orders', '--partition', '1', '--json')).json()).toMatchObject([
      { offset: 0, partition: 1, headers: { a: 'b' }, payload: { id: 1 } },
      { offset: 1, key: 'k', payload: { id: 2 } },
    ])
    expect((await cli('streams', 'read', 'orders', '--partition', '1', '--offset', '1', '--limit', '1')).stdout).toMatch(
      /1 {2}k {2}\{"id":2\}\n$/,
    )
    expect((await cli('streams', 'list', '--json')).json()).toMatchObject([{ name: 'orders', partitions: [{}, { latestOffset: 1 }] }])
    expect(await cli('streams', 'read', 'none')).toMatchObject({ code: 1, stderr: expect.stringContaining("no stream 'none'") })
    expect(await cli('streams', 'tail', 'orders', '--from', 'yesterday')).toMatchObject({ code: 2 })
  })
})
