import { expect, test } from 'vitest'
import { ManualClock } from '../../testing/manual-clock.ts'
import type { DatabaseRef } from './backend.ts'
import { OpenDatabases } from './open-databases.ts'

function setUp(most = 2) {
  const clock = new ManualClock()
  const released: string[] = []
  const open = new OpenDatabases({
    clock,
    most,
    idleMs: 1000,
    release: async ({ name }) => void released.push(name),
    onError: (error) => {
      throw error
    },
  })
  return { clock, released, open, use: (name: string) => open.use(ref(name)) }
}

const ref = (name: string): DatabaseRef => ({ scope: { tenant: 1, namespace: 'default' }, name })

test('a database that nobody uses is closed after a while, and not before', async () => {
  const { clock, released, use, open } = setUp()
  const one = await use('a')
  const another = await use('a')
  one()
  await clock.advance(5000)
  another()
  await clock.advance(999)
  expect(released).toEqual([])
  ;(await use('a'))()
  await clock.advance(999)
  expect(released).toEqual([])
  await clock.advance(1)
  expect(released).toEqual(['a'])
  expect(open.size).toBe(0)
})

test('the one used longest ago makes room, and one in use never does', async () => {
  const { released, use } = setUp()
  ;(await use('a'))()
  ;(await use('b'))()
  ;(await use('a'))()
  const c = await use('c')
  expect(released).toEqual(['b'])
  await use('d')
  expect(released).toEqual(['b', 'a'])
  await expect(use('e')).rejects.toMatchObject({ reason: 'UNAVAILABLE', retryAfterMs: 1000 })
  c()
  await use('e')
  expect(released).toEqual(['b', 'a', 'c'])
})

test('callers at the same time never have more open than may be', async () => {
  const { use, open } = setUp(3)
  const uses = await Promise.allSettled(['a', 'b', 'c', 'd', 'e', 'a'].map(use))
  expect(open.size).toBe(3)
  expect(uses.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
})
