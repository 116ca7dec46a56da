import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { historyCase } from './history.ts'

const leaseMs = 10_000
const maxAttempts = 3

/** A job as it should be. */
interface ModelJob {
  state: JobState
  priority: number
  attempts: number
  /** Of the latest claim; kept after a settlement, gone after anything else. */
  token: number | undefined
  /** When it becomes pending (scheduled) or its lease ends (running). */
  due: number
}

/** What somebody does; `pick` chooses a job, by its position among all. */
type Step =
  | { readonly type: 'enqueue'; readonly priority: number; readonly delay: number }
  | { readonly type: 'claim'; readonly max: number }
  | { readonly type: 'complete' | 'fail' | 'release' | 'renew' | 'cancel' | 'retry'; readonly pick: number; readonly stale: boolean }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'reopen' }

const pick = { pick: fc.nat(), stale: fc.boolean() }
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('enqueue' as const),
      priority: fc.integer({ min: -2, max: 2 }),
      delay: fc.constantFrom(0, 0, 5000),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('claim' as const), max: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constantFrom('complete', 'fail', 'release', 'renew', 'cancel', 'retry'), ...pick }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, testBackoffMs, 5000, leaseMs) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
)

/** Carries out one step on the store and on the model, and compares. */
async function play(t: Harness, model: Map<number, ModelJob>, step: Step): Promise<void> {
  const now = t.clock.now()
  switch (step.type) {
    case 'enqueue': {
      const [seq] = await t.enqueue({ priority: step.priority, maxAttempts, runAt: step.delay ? now + step.delay : undefined })
      const state = step.delay ? JobState.scheduled : JobState.pending
      model.set(seq!, { state, priority: step.priority, attempts: 0, token: undefined, due: now + step.delay })
      return
    }
    case 'claim': {
      const pending = [...model].filter(([, job]) => job.state === JobState.pending)
      const expected = pending.sort(([a, x], [b, y]) => y.priority - x.priority || a - b).slice(0, step.max)
      const claimed = await t.claim({ max: step.max, leaseMs })
      expect(claimed.map((job) => job.seq)).toEqual(expected.map(([seq]) => seq))
      for (const { seq, token, attempt } of claimed) {
        const job = model.get(seq)!
        Object.assign(job, { state: JobState.running, attempts: job.attempts + 1, token, due: now + leaseMs })
        expect(attempt).toBe(job.attempts)
      }
      return
    }
    case 'advance': {
      await t.tick(step.ms)
      const later = t.clock.now()
      for (const job of model.values()) {
        if (job.due > later) continue
        if (job.state === JobState.scheduled) job.state = JobState.pending
        else if (job.state === JobState.running) {
          job.state = job.attempts < maxAttempts ? JobState.pending : JobState.failed
          job.token = undefined
        }
      }
      return
    }
    case 'reopen':
      return t.reopen()
    default: {
      const seq = [...model.keys()][step.pick % Math.max(model.size, 1)]
      if (seq !== undefined) await change(t, seq, model.get(seq)!, step.type, step.stale)
    }
  }
}

async function change(t: Harness, seq: number, job: ModelJob, type: string, stale: boolean): Promise<void> {
  const now = t.clock.now()
  if (type === 'cancel' || type === 'retry') {
    const allowed = type === 'cancel' ? job.state < JobState.completed : job.state === JobState.failed || job.state === JobState.cancelled
    const done = type === 'cancel' ? t.store.jobs.cancel(t.scope, seq, '', now) : t.store.jobs.retry(t.scope, seq, now)
    if (!allowed) return expect(done).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
    await done
    Object.assign(job, { state: type === 'cancel' ? JobState.cancelled : JobState.pending, token: undefined })
    if (type === 'retry') job.attempts = 0
    return
  }
  const token = stale ? 1 : (job.token ?? 1)
  const lease = { seq, token }
  const outcome = await (type === 'complete'
    ? t.complete(lease)
    : type === 'fail'
      ? t.fail(lease)
      : t.settle(lease, type === 'release' ? { type } : { type: 'renew', leaseMs }))
  if (token !== job.token) {
    expect(outcome).toMatchObject({ error: { reason: 'CONFLICT' } })
  } else if (job.state === JobState.running) {
    expect(outcome.error).toBeUndefined()
    if (type === 'complete') job.state = JobState.completed
    if (type === 'release') Object.assign(job, { state: JobState.pending, attempts: job.attempts - 1 })
    if (type === 'renew') job.due = now + leaseMs
    if (type === 'fail' && job.attempts === maxAttempts) job.state = JobState.failed
    else if (type === 'fail') Object.assign(job, { state: JobState.scheduled, due: now + testBackoffMs })
  }
  // Otherwise the holder settled it before: whether a repeat is answered or refused, nothing changes.
}

async function agree(t: Harness, model: Map<number, ModelJob>): Promise<void> {
  const counts = { scheduled: 0, pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
  const names = Object.entries(JobState)
  for (const [seq, job] of model) {
    expect(await t.store.jobs.get(t.scope, seq)).toMatchObject({ state: job.state, attempts: job.attempts })
    const name = names.find(([, state]) => state === job.state)![0] as keyof typeof counts
    counts[name]++
  }
  const { running, ...rest } = counts
  expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ ...rest, processing: running, dead: counts.failed, total: model.size })
}

/** Any history leaves every job where a model of thirty lines says it is. */
export const modelCases: readonly Case[] = [
  historyCase({
    name: 'any history of calls, time and restarts agrees with the model',
    steps: fc.array(step, { minLength: 5, maxLength: 40 }),
    runs: 60,
    begin: () => new Map<number, ModelJob>(),
    play,
    agree,
  }),
]
