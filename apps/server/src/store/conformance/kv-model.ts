import fc from 'fast-check'
import { expect } from 'vitest'
import type { KvOutcome, KvWrite } from '../kv-port.ts'
import type { Case, Harness } from './harness.ts'
import { historyCase } from './history.ts'
import { KvSteps } from './kv-steps.ts'

/** A key as it should be. */
interface ModelKey {
  value: string
  revision: number
  expiresAt: number
}

type Change =
  | {
      readonly type: 'set'
      readonly key: string
      readonly value: string
      readonly ttl: number
      readonly condition: 'none' | 'absent' | 'current' | 'wrong'
    }
  | { readonly type: 'delete'; readonly key: string; readonly condition: 'none' | 'current' | 'wrong' }
  | { readonly type: 'increment'; readonly key: string; readonly by: number }
type Step =
  | { readonly type: 'write'; readonly changes: readonly Change[]; readonly partial: boolean }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'expire' | 'reopen' }

const allKeys = ['a', 'b', 'ab', 'c']
const key = fc.constantFrom(...allKeys)
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    type: fc.constant('set' as const),
    key,
    value: fc.constantFrom('1', '"x"', '41'),
    ttl: fc.constantFrom(0, 0, 1000, 5000),
    condition: fc.constantFrom('none', 'none', 'absent', 'current', 'wrong'),
  }),
  fc.record({ type: fc.constant('delete' as const), key, condition: fc.constantFrom('none', 'current', 'wrong') }),
  fc.record({ type: fc.constant('increment' as const), key, by: fc.integer({ min: -3, max: 3 }) }),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      changes: fc.array(change, { minLength: 1, maxLength: 4 }),
      partial: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, 999, 1000, 4000) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('expire', 'reopen') }) },
)

/** A store in thirty lines. */
class Model {
  keys = new Map<string, ModelKey>()
  revision = 0

  live(key: string, now: number): ModelKey | undefined {
    const found = this.keys.get(key)
    return found && found.expiresAt > now ? found : undefined
  }

  /** What the change should answer: a revision, or the reason of its refusal. */
  apply(change: Change, now: number): number | string {
    const current = this.live(change.key, now)
    if (change.type === 'increment') {
      const number = current ? Number(current.value) : 0
      if (!Number.isInteger(number)) return 'FAILED_PRECONDITION'
      return this.put(change.key, String(number + change.by), current?.expiresAt ?? Infinity)
    }
    if (change.condition === 'absent' && current) return 'ALREADY_EXISTS'
    if (change.condition === 'wrong') return 'CONFLICT'
    if (change.type === 'set') return this.put(change.key, change.value, change.ttl ? now + change.ttl : Infinity)
    if (!current) return 0
    this.keys.delete(change.key)
    return ++this.revision
  }

  put(key: string, value: string, expiresAt: number): number {
    this.keys.set(key, { value, expiresAt, revision: ++this.revision })
    return this.revision
  }
}

function writeOf(kv: KvSteps, model: Model, change: Change, now: number): KvWrite {
  const { key } = change
  if (change.type === 'increment') return change
  const revision = model.live(key, now)?.revision ?? 0
  const ifRevision = change.condition === 'current' ? revision : change.condition === 'wrong' ? revision + 1000 : undefined
  if (change.type === 'delete') return { type: 'delete', key, ifRevision }
  return kv.setting(key, change.value, { ttl: change.ttl || undefined, ifRevision, ifAbsent: change.condition === 'absent' })
}

const answerOf = (outcome: KvOutcome) => ('error' in outcome ? outcome.error.reason : outcome.revision)

async function play(t: Harness, model: Model, step: Step): Promise<void> {
  const kv = new KvSteps(t)
  const now = t.clock.now()
  switch (step.type) {
    case 'advance':
      return t.clock.advance(step.ms)
    case 'reopen':
      return t.reopen()
    case 'expire': {
      const due = [...model.keys].filter(([, { expiresAt }]) => expiresAt <= now)
      expect(await t.store.kv.expire(now, 100)).toBe(due.length)
      for (const [key] of due) model.keys.delete(key)
      model.revision += due.length
      return
    }
    case 'write': {
      // Conditions that look at earlier changes of the same request are told from the state before it.
      const keys = new Set<string>()
      const changes = step.changes.filter(({ key }) => !keys.has(key) && keys.add(key))
      const writes = changes.map((change) => writeOf(kv, model, change, now))
      const before = { keys: structuredClone(model.keys), revision: model.revision }
      const expected = changes.map((change) => model.apply(change, now))
      const refused = expected.find((answer) => typeof answer === 'string')
      if (refused === undefined || step.partial) {
        expect((await kv.write(writes, { partial: step.partial })).map(answerOf)).toEqual(expected)
        return
      }
      await expect(kv.write(writes)).rejects.toMatchObject({ reason: refused })
      Object.assign(model, before)
      // Revisions of what was refused may be skipped.
      const { revision } = await t.store.kv.settings(t.scope, 's')
      model.revision = Math.max(model.revision, revision)
    }
  }
}

async function agree(t: Harness, model: Model): Promise<void> {
  const kv = new KvSteps(t)
  const now = t.clock.now()
  const live = [...model.keys].filter(([, { expiresAt }]) => expiresAt > now).sort(([a], [b]) => (a < b ? -1 : 1))
  expect(await kv.keys()).toEqual(live.map(([key]) => key))
  expect(await kv.get(...allKeys)).toEqual(allKeys.map((key) => model.live(key, now)?.value))
  const told = await kv.changes(0)
  const sets = [...live].sort(([, a], [, b]) => a.revision - b.revision).map(([key, { value }]) => `1 ${key}=${value}`)
  expect(told.filter((line) => line.startsWith('1 '))).toEqual(sets)
}

/** Any history leaves every key where a model says it is. */
export const kvModelCases: readonly Case[] = [
  historyCase({
    name: 'any history of writes, time and restarts agrees with the model of keys and values',
    steps: fc.array(step, { minLength: 3, maxLength: 25 }),
    runs: 40,
    begin: () => new Model(),
    play,
    agree,
  }),
]
