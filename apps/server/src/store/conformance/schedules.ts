import { expect } from 'vitest'
import type { ScheduleRecord, ScheduleRun } from '../schedule-port.ts'
import { runsKept } from '../schedule-port.ts'
import type { Case, Harness } from './harness.ts'

const minute = 60_000

/** A schedule with nothing special about it. */
function scheduleOf(t: Harness, change: Partial<ScheduleRecord> = {}): ScheduleRecord {
  const now = t.clock.now()
  const job = { queue: 'q', function: 'f', contentType: '', headers: { a: 'b' }, labels: {}, priority: 1, maxAttempts: 2, timeoutMs: 3 }
  const spec = { everyMs: minute, from: now, timezone: 'UTC', jitterMs: 0, overlap: 'skip', catchUp: 1, job } as const
  const next = { nextAt: now + minute, dueAt: now + minute }
  const payload = new Uint8Array([1, 2])
  return { ...t.scope, name: 's', spec, payload, paused: false, revision: 1, ...next, createdAt: now, updatedAt: now, ...change }
}

const runAt = (at: number, change: Partial<ScheduleRun> = {}): ScheduleRun => ({
  at,
  manual: false,
  submitted: true,
  reason: '',
  ...change,
})

/** Schedules: their ticks go forward once, whoever sees to them. */
export const scheduleCases: readonly Case[] = [
  {
    name: 'keeps a schedule under its name, for its tenant and namespace alone',
    async run(t) {
      const schedule = scheduleOf(t)
      expect(await t.store.schedules.create(schedule)).toBe(true)
      expect(await t.store.schedules.create(scheduleOf(t, { paused: true }))).toBe(false)
      await t.reopen()
      expect(await t.store.schedules.get(schedule)).toMatchObject({ ...schedule, payload: expect.anything() })
      expect([...(await t.store.schedules.get(schedule))!.payload]).toEqual([1, 2])
      for (const scope of [t.otherTenant, t.otherNamespace]) {
        expect(await t.store.schedules.get({ ...scope, name: 's' })).toBeUndefined()
        expect(await t.store.schedules.list(scope, { limit: 10, after: '' })).toEqual([])
        expect(await t.store.schedules.delete({ ...scope, name: 's' })).toBe(false)
        expect(await t.store.schedules.create(scheduleOf(t, scope))).toBe(true)
      }
      expect(await t.store.schedules.delete(schedule)).toBe(true)
      expect(await t.store.schedules.get(schedule)).toBeUndefined()
      expect(await t.store.schedules.get({ ...t.otherTenant, name: 's' })).toBeDefined()
    },
  },
  {
    name: 'lists schedules by name, page by page',
    async run(t) {
      for (const name of ['b', 'A', 'a', 'c']) await t.store.schedules.create(scheduleOf(t, { name }))
      const names = async (page: { limit: number; after: string }) => (await t.store.schedules.list(t.scope, page)).map(({ name }) => name)
      expect(await names({ limit: 3, after: '' })).toEqual(['A', 'a', 'b'])
      expect(await names({ limit: 3, after: 'b' })).toEqual(['c'])
    },
  },
  {
    name: 'changes a schedule from the revision that was read alone',
    async run(t) {
      const schedule = scheduleOf(t)
      await t.store.schedules.create(schedule)
      const paused = { ...schedule, paused: true, revision: 2, nextAt: undefined, dueAt: undefined }
      expect(await t.store.schedules.replace(paused, 1)).toBe(true)
      expect(await t.store.schedules.replace({ ...schedule, revision: 2 }, 1)).toBe(false)
      expect(await t.store.schedules.get(schedule)).toMatchObject({ paused: true, revision: 2, nextAt: undefined })
      expect(await t.store.schedules.nextDueAt()).toBeUndefined()
    },
  },
  {
    name: 'says what is due, longest first, of all tenants',
    async run(t) {
      const now = t.clock.now()
      await t.store.schedules.create(scheduleOf(t, { name: 'late', dueAt: now + 3 }))
      await t.store.schedules.create(scheduleOf(t, { name: 'early', ...t.otherTenant, dueAt: now + 1 }))
      await t.store.schedules.create(scheduleOf(t, { name: 'middle', dueAt: now + 2 }))
      expect(await t.store.schedules.nextDueAt()).toBe(now + 1)
      expect((await t.store.schedules.due(now + 2, 10)).map(({ name }) => name)).toEqual(['early', 'middle'])
      expect((await t.store.schedules.due(now + 9, 1)).map(({ name }) => name)).toEqual(['early'])
    },
  },
  {
    name: 'decides a tick once and goes to the next one once',
    async run(t) {
      const schedule = scheduleOf(t)
      const tick = schedule.nextAt!
      await t.store.schedules.create(schedule)
      const decided = await Promise.all([
        t.store.schedules.decide(schedule, runAt(tick)),
        t.store.schedules.decide(schedule, runAt(tick, { submitted: false, reason: 'no' })),
      ])
      expect(decided[1]).toEqual(decided[0])
      const next = { nextAt: tick + minute, dueAt: tick + minute + 5 }
      const run = { ...decided[0]!, job: 77 }
      const advanced = await Promise.all([1, 2].map(() => t.store.schedules.advance(schedule, next, run)))
      expect(advanced.filter(Boolean)).toHaveLength(1)
      expect(await t.store.schedules.get(schedule)).toMatchObject({ ...next, lastAt: tick, lastJob: 77, revision: 2 })
      expect(await t.store.schedules.runs(schedule, 10)).toEqual([run])
      // Whoever comes late is told what became of it.
      expect(await t.store.schedules.decide(schedule, runAt(tick))).toEqual(run)
    },
  },
  {
    name: 'leaves a schedule that was changed meanwhile as it is',
    async run(t) {
      const schedule = scheduleOf(t)
      await t.store.schedules.create(schedule)
      await t.store.schedules.replace({ ...schedule, paused: true, revision: 2, nextAt: undefined, dueAt: undefined }, 1)
      expect(await t.store.schedules.advance(schedule, { nextAt: 9, dueAt: 9 }, runAt(schedule.nextAt!))).toBe(false)
      expect(await t.store.schedules.nextDueAt()).toBeUndefined()
    },
  },
  {
    name: 'keeps the latest runs, and forgets them with their schedule',
    async run(t) {
      const schedule = scheduleOf(t)
      const start = schedule.nextAt!
      await t.store.schedules.create(schedule)
      for (let i = 0; i < runsKept + 5; i++) await t.store.schedules.decide(schedule, runAt(start + i))
      await t.store.schedules.decide(schedule, runAt(start + runsKept + 5, { manual: true, job: 5 }))
      const runs = await t.store.schedules.runs(schedule, 1000)
      expect(runs).toHaveLength(runsKept)
      expect(runs[0]).toEqual(runAt(start + runsKept + 5, { manual: true, job: 5 }))
      expect(runs.at(-1)!.at).toBe(start + 6)
      expect(await t.store.schedules.runs(schedule, 2)).toHaveLength(2)
      await t.store.schedules.delete(schedule)
      await t.store.schedules.create(schedule)
      expect(await t.store.schedules.runs(schedule, 10)).toEqual([])
    },
  },
]
