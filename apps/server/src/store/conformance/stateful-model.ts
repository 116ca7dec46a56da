import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import type { Case, Harness } from './harness.ts'
import { testBackoffMs } from './harness.ts'
import { historyCase } from './history.ts'
import { completeWith, stateful } from './stateful.ts'

const leaseMs = 10_000
const timeoutMs = 7000
const maxAttempts = 2

interface ModelJob {
  readonly key: string
  state: JobState
  attempts: number
  token: number | undefined
  /** Of an attempt that ended otherwise than by a completion: whoever had it may come late. */
  old: number | undefined
  due: number
}

/** What the states and jobs should be. */
class Model {
  readonly jobs = new Map<number, ModelJob>()
  readonly counters = new Map<string, number>()

  /** A job could run: it does, or stands in line. */
  arrive(job: ModelJob): void {
    job.state = JobState.blocked
    this.admit(job.key)
  }

  /** The oldest in line begins when nobody of its key has begun. */
  admit(key: string): void {
    const own = [...this.jobs].filter(([, job]) => job.key === key)
    const begun = ({ state, attempts }: ModelJob) =>
      state === JobState.pending || state === JobState.running || (state === JobState.scheduled && attempts > 0)
    if (own.some(([, job]) => begun(job))) return
    const [first] = own.filter(([, job]) => job.state === JobState.blocked).sort(([a], [b]) => a - b)
    if (first) first[1].state = JobState.pending
  }

  end(job: ModelJob, state: JobState): void {
    job.state = state
    this.admit(job.key)
  }
}

const keys = ['a', 'b']
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('submit' as const),
      key: fc.constantFrom(...keys),
      delay: fc.constantFrom(0, 0, 5000),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('claim' as const) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      type: fc.constantFrom(
        'complete' as const,
        'complete' as const,
        'fail' as const,
        'release' as const,
        'cancel' as const,
        'retry' as const,
        'late' as const,
      ),
      pick: fc.nat(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(testBackoffMs, 5000, timeoutMs, leaseMs) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

async function play(t: Harness, model: Model, step: Step): Promise<void> {
  switch (step.type) {
    case 'submit': {
      const due = t.clock.now() + step.delay
      const runAt = step.delay ? due : undefined
      const [seq] = await t.enqueue(stateful(step.key, { initial: '0', maxAttempts, timeoutMs, runAt }))
      const job: ModelJob = { key: step.key, state: JobState.scheduled, attempts: 0, token: undefined, old: undefined, due }
      model.jobs.set(seq!, job)
      if (!step.delay) model.arrive(job)
      return
    }
    case 'claim': {
      const ready = [...model.jobs].filter(([, job]) => job.state === JobState.pending).sort(([a], [b]) => a - b)
      const claimed = await t.claim({ leaseMs })
      expect(claimed.map(({ seq }) => seq)).toEqual(ready.map(([seq]) => seq))
      for (const { seq, token, state } of claimed) {
        const job = model.jobs.get(seq)!
        expect(Buffer.from(state!.data).toString()).toBe(String(model.counters.get(job.key) ?? 0))
        Object.assign(job, { state: JobState.running, attempts: job.attempts + 1, token, due: t.clock.now() + timeoutMs })
      }
      return
    }
    case 'advance':
      await t.clock.advance(step.ms)
      await t.store.jobs.promoteDue(t.clock.now(), 1000)
      promote(model, t.clock.now())
      await t.store.jobs.expireDue(t.clock.now(), 1000)
      return expire(model, t.clock.now())
    case 'reopen':
      return t.reopen()
    default: {
      const seq = [...model.jobs.keys()][step.pick % Math.max(model.jobs.size, 1)]
      if (seq !== undefined) await change(t, model, seq, step.type)
    }
  }
}

function promote(model: Model, now: number): void {
  const due = [...model.jobs.values()].filter((job) => job.state === JobState.scheduled && job.due <= now)
  for (const job of due.sort((a, b) => a.due - b.due)) {
    if (job.attempts > 0) job.state = JobState.pending
    else model.arrive(job)
  }
}

function expire(model: Model, now: number): void {
  for (const job of model.jobs.values()) {
    if (job.state !== JobState.running || job.due > now) continue
    letGo(job)
    if (job.attempts === maxAttempts) model.end(job, JobState.failed)
    else Object.assign(job, { state: JobState.scheduled, due: now + testBackoffMs })
  }
}

/** Its attempt is over; the one who had it may not know. */
function letGo(job: ModelJob): void {
  job.old = job.token ?? job.old
  job.token = undefined
}

async function change(t: Harness, model: Model, seq: number, type: string): Promise<void> {
  const job = model.jobs.get(seq)!
  const now = t.clock.now()
  if (type === 'late') {
    if (job.old === undefined) return
    // Neither the job nor the state is what it was: both stay.
    expect(await completeWith(t, { seq, token: job.old } as never, '999')).toMatchObject({ error: { reason: 'CONFLICT' } })
    return
  }
  if (type === 'cancel') {
    if (job.state >= JobState.completed) return
    await t.store.jobs.cancel(t.scope, seq, '', now)
    letGo(job)
    return model.end(job, JobState.cancelled)
  }
  if (type === 'retry') {
    if (job.state !== JobState.failed && job.state !== JobState.cancelled) return
    await t.store.jobs.retry(t.scope, seq, now)
    job.attempts = 0
    return model.arrive(job)
  }
  if (job.state !== JobState.running) return
  const lease = { seq, token: job.token! }
  if (type === 'release') {
    expect(await t.settle(lease, { type: 'release' })).toEqual({})
    letGo(job)
    Object.assign(job, { state: JobState.pending, attempts: job.attempts - 1 })
  } else if (type === 'fail') {
    expect(await t.fail(lease)).toEqual({})
    letGo(job)
    if (job.attempts === maxAttempts) model.end(job, JobState.failed)
    else Object.assign(job, { state: JobState.scheduled, due: now + testBackoffMs })
  } else {
    const counter = (model.counters.get(job.key) ?? 0) + 1
    expect(await completeWith(t, { ...lease } as never, String(counter))).toEqual({})
    model.counters.set(job.key, counter)
    model.end(job, JobState.completed)
  }
}

async function agree(t: Harness, model: Model): Promise<void> {
  for (const [seq, job] of model.jobs) {
    expect(await t.store.jobs.get(t.scope, seq)).toMatchObject({ state: job.state, attempts: job.attempts, stateKey: job.key })
  }
  const count = (state: JobState) => [...model.jobs.values()].filter((job) => job.state === state).length
  expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({
    pending: count(JobState.pending),
    blocked: count(JobState.blocked),
    scheduled: count(JobState.scheduled),
    processing: count(JobState.running),
    total: model.jobs.size,
  })
  for (const [key, counter] of model.counters) {
    const state = await t.store.states.get(t.scope, key, t.clock.now())
    expect(Buffer.from(state!.content!.data).toString()).toBe(String(counter))
  }
}

/** Any history leaves every stateful job, line and state where the model says it is. */
export const statefulModelCases: readonly Case[] = [
  historyCase({
    name: 'any history of stateful jobs agrees with the model',
    steps: fc.array(step, { minLength: 5, maxLength: 50 }),
    runs: 60,
    begin: () => new Model(),
    play,
    agree,
  }),
]
