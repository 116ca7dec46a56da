import { AuthenticationError, Millrace } from '@millrace/client'
import { expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'

const fixture = useServer()

test('from explicit configuration, used and closed by `await using`', async () => {
  const { endpoint, key } = fixture.server
  let kept: Millrace
  {
    await using mr = new Millrace({ endpoint, apiKey: key, namespace: freshName(), timeout: '30s', maxConnections: 2 })
    kept = mr
    const { taskId } = await mr.tasks.submit({ payload: { data: '...' } })
    expect(taskId).toMatch(/^task_[0-9a-z]{11}$/)
  }
  await expect(kept.health()).rejects.toThrow(/closed/i)
})

test('health of the server and the cluster', async () => {
  const mr = fixture.client()
  const health = await mr.cluster.health()
  expect(health).toMatchObject({ healthy: true, version: expect.stringMatching(/^\d+\.\d+\.\d+/), nodes: { active: 1, total: 1 } })
  expect(health.queue.depth).toBeGreaterThanOrEqual(0)
  await expect(mr.health()).resolves.toBeTruthy()
  await mr.ready({ timeout: '5s' })
})

test('many concurrent calls over several connections, with compression', async () => {
  const mr = fixture.client({ maxConnections: 4, compression: 'gzip' })
  const payload = { text: 'again '.repeat(1000) }
  const handles = await Promise.all(Array.from({ length: 200 }, () => mr.tasks.submit({ payload })))
  expect(new Set(handles.map(({ taskId }) => taskId)).size).toBe(200)
})

test('keys are made, listed without their secret, and revoked', async () => {
  const mr = fixture.client()
  const { keyId, key } = await mr.keys.create({
    name: 'ci',
    scopes: ['tasks:read', 'tasks:write'],
    expiresAt: new Date(Date.now() + 60_000),
  })
  const limited = fixture.client({ apiKey: key })
  await limited.tasks.submit({ payload: {} })
  await expect(limited.queue('emails').stats()).rejects.toMatchObject({ name: 'PermissionDeniedError', requiredScope: 'queues:read' })
  const listed = await Array.fromAsync(mr.keys.list())
  expect(listed.find((known) => known.keyId === keyId)).toMatchObject({ name: 'ci', scopes: ['tasks:read', 'tasks:write'] })
  expect(JSON.stringify(listed)).not.toContain(key)
  await mr.keys.revoke(keyId)
  await expect(limited.tasks.list()).rejects.toBeInstanceOf(AuthenticationError)
})

test('a token may come from a function, and is asked for again when it is refused', async () => {
  const mr = fixture.client()
  const first = await mr.keys.create({ name: 'first' })
  const second = await mr.keys.create({ name: 'second' })
  const tokens = [first.key, second.key]
  let asked = 0
  const fresh = fixture.client({ apiKey: undefined, token: async () => tokens[Math.min(asked++, 1)]! })
  await fresh.tasks.submit({ payload: {} })
  await mr.keys.revoke(first.keyId)
  await fresh.tasks.submit({ payload: {} })
  expect(asked).toBe(2)
})
