import { expect } from 'vitest'
import { mostReplays } from '../replay-port.ts'
import type { Case, Harness } from './harness.ts'

const orders = { stream: 'orders', number: 7, group: 'g', ranges: [[0, 5]], baseAt: 1000 } as const
const add = (t: Harness, change: { group?: string; number?: number } = {}) =>
  t.store.replays.add(t.scope, { ...orders, ...change }, t.clock.now())

/** Replays: kept until they are deleted, each of its namespace; the time they ran leaves out pauses. */
export const replayCases: readonly Case[] = [
  {
    name: 'keeps a replay and how long it ran, for its tenant and namespace alone',
    async run(t) {
      const createdAt = t.clock.now()
      expect([await add(t), await add(t)]).toEqual([true, false])
      const change = (from: 'ready' | 'running' | 'paused', to: 'running' | 'paused') =>
        t.store.replays.change(t.scope, 'orders', 'g', { from: [from], to }, t.clock.now())
      expect(await change('paused', 'running')).toBeUndefined()
      expect(await change('ready', 'running')).toMatchObject({ state: 'running', elapsedMs: 0, since: createdAt })
      await t.clock.advance(300)
      expect(await change('running', 'paused')).toMatchObject({ state: 'paused', elapsedMs: 300, since: 0 })
      await t.clock.advance(10_000)
      await change('paused', 'running')
      await t.reopen()
      const found = await t.store.replays.get(t.scope, 'orders', 'g')
      expect(found).toEqual({ ...orders, state: 'running', elapsedMs: 300, since: createdAt + 10_300, createdAt })
      expect(await t.store.replays.list(t.scope, 'orders')).toEqual([found])
      for (const scope of [t.otherTenant, t.otherNamespace]) {
        expect(await t.store.replays.get(scope, 'orders', 'g')).toBeUndefined()
        expect(await t.store.replays.list(scope, 'orders')).toEqual([])
        expect(await t.store.replays.change(scope, 'orders', 'g', { from: ['running'], to: 'stopped' }, 0)).toBeUndefined()
        expect(await t.store.replays.delete(scope, 'orders', 'g')).toBe(false)
      }
      expect([await t.store.replays.delete(t.scope, 'orders', 'g'), await t.store.replays.delete(t.scope, 'orders', 'g')]).toEqual([
        true,
        false,
      ])
    },
  },
  {
    name: 'drops replays of an earlier stream of the name, and has a limit for a stream',
    async run(t) {
      for (let i = 0; i < mostReplays; i++) expect(await add(t, { group: `g${i}` })).toBe(true)
      await expect(add(t, { group: 'more' })).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED' })
      expect(await t.store.replays.list(t.scope, 'orders')).toHaveLength(mostReplays)
      expect(await add(t, { group: 'new', number: 8 })).toBe(true)
      expect((await t.store.replays.list(t.scope, 'orders')).map(({ group }) => group)).toEqual(['new'])
    },
  },
]
