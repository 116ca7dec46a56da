import { describe, expect, it } from 'vitest'
import { withServer } from './cli-runner.ts'

describe('schemas', () => {
  it('are registered, attached, shown and detached', async () => {
    const { cli } = await withServer()
    const schema = { type: 'object', required: ['id'] }
    expect(await cli('schemas', 'register', 'order', JSON.stringify(schema))).toMatchObject({ code: 0, stdout: 'order version 1\n' })
    expect((await cli('schemas', 'register', 'order', '{"required":["id","to"]}')).stderr).toContain('definition.required')
    expect((await cli('schemas', 'register', 'order', '{}', '--compatibility', 'some')).stderr).toContain('none, backward, forward, full')
    expect((await cli('schemas', 'attach', 'order', '--stream', 'orders')).stdout).toBe('stream orders has the schema order\n')
    expect((await cli('schemas', 'list', '--json')).json()).toMatchObject([
      { name: 'order', version: 1, compatibility: 'backward', attached: ['stream orders'] },
    ])
    expect((await cli('schemas', 'list')).stdout).toContain('stream orders')
    expect(JSON.parse((await cli('schemas', 'get', 'order')).stdout)).toEqual(schema)
    expect(await cli('streams', 'write', 'orders', '{}')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('messages[0].payload.id'),
    })
    expect((await cli('schemas', 'delete', 'order')).stderr).toContain('detach it first')
    expect((await cli('schemas', 'detach', '--stream', 'orders')).stdout).toBe('stream orders has no schema any more\n')
    expect((await cli('schemas', 'delete', 'order')).stdout).toBe('order deleted\n')
  })
})
