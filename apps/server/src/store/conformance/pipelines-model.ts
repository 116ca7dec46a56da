import fc from 'fast-check'
import { expect } from 'vitest'
import { JobState } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { create, stage, statesOf } from './pipelines.ts'
import { tryEach } from './tries.ts'

const leaseMs = 10_000
const timeoutMs = 40_000
const maxAttempts = 2

/** A stage as it should be. */
interface ModelStage {
  readonly name: string
  readonly dependsOn: readonly number[]
  state: string
  attempts: number
  /** Of its job, while it is in hand or backs off. */
  job: { seq: number; token: number } | undefined
  due: number
}

/** A pipeline as it should be, found out the slow way: by looking at everything after each step. */
class Model {
  readonly stages: ModelStage[]
  readonly goOn: boolean
  state = 'running'
  deadline: number

  constructor(graph: readonly (readonly number[])[], goOn: boolean, now: number) {
    this.stages = graph.map((dependsOn, i) => ({ name: `s${i}`, dependsOn, state: 'blocked', attempts: 0, job: undefined, due: 0 }))
    this.goOn = goOn
    this.deadline = now + timeoutMs
    this.settle()
  }

  /** What follows from what is. */
  settle(): void {
    const bad = (stage: ModelStage) => stage.state === 'failed' || stage.state === 'cancelled'
    for (const stage of this.stages) {
      const dependencies = stage.dependsOn.map((i) => this.stages[i]!)
      if (stage.state === 'blocked' && dependencies.every(({ state }) => state === 'completed')) stage.state = 'pending'
      const skipped = this.goOn ? stage.state === 'blocked' && dependencies.some(bad) : this.stages.some(bad)
      if (skipped && (stage.state === 'blocked' || stage.state === 'pending')) Object.assign(stage, { state: 'cancelled', job: undefined })
    }
    if (this.state !== 'running' || this.stages.some(({ state }) => ['blocked', 'pending', 'running'].includes(state))) return
    this.state = this.stages.some(bad) ? 'failed' : 'completed'
  }

  abandon(state: string): void {
    for (const stage of this.stages) {
      if (['blocked', 'pending', 'running'].includes(stage.state)) Object.assign(stage, { state: 'cancelled', job: undefined })
    }
    this.state = state
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('claim' as const), max: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      type: fc.constantFrom('complete' as const, 'complete' as const, 'fail' as const, 'release' as const, 'cancelTask' as const),
      pick: fc.nat(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(testBackoffMs, leaseMs, timeoutMs) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('cancel' as const, 'retry' as const, 'retry' as const, 'reopen' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** Each stage depends on some of those before it. */
const graph = fc
  .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 8 })
  .map((picks) => picks.map((own, i) => (i === 0 ? [] : [...new Set(own.map((pick) => pick % i))].sort((a, b) => a - b))))

async function play(t: Harness, model: Model, seq: number, step: Step): Promise<void> {
  const now = t.clock.now()
  switch (step.type) {
    case 'claim':
      for (const { seq, token, stage, attempt } of await t.claim({ leaseMs, max: step.max })) {
        const own = model.stages.find(({ name }) => name === stage!.name)!
        expect(['pending', 'running']).toContain(own.state)
        expect(stage!.inputs.map((input) => input.stage)).toEqual(own.dependsOn.map((i) => `s${i}`))
        expect(attempt).toBe(own.attempts + 1)
        Object.assign(own, { state: 'running', attempts: attempt, job: { seq, token }, due: now + leaseMs })
      }
      return
    case 'advance': {
      await t.clock.advance(step.ms)
      await t.store.jobs.promoteDue(t.clock.now(), 1000)
      await t.store.jobs.expireDue(t.clock.now(), 1000)
      const later = t.clock.now()
      for (const stage of model.stages.filter(({ job, due }) => job && due <= later)) {
        stage.job = undefined
        if (stage.attempts === maxAttempts) stage.state = 'failed'
      }
      model.settle()
      if (model.state === 'running' && model.deadline <= later) model.abandon('failed')
      return
    }
    case 'reopen':
      return t.reopen()
    case 'cancel':
    case 'retry': {
      const done = t.store.pipelines[step.type === 'cancel' ? 'cancel' : 'retry'](
        t.scope,
        seq,
        ...((step.type === 'cancel' ? ['', now] : [now]) as never as [never, never]),
      )
      const allowed = step.type === 'cancel' ? model.state === 'running' : model.state === 'failed' || model.state === 'cancelled'
      if (!allowed) return expect(done).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await done
      if (step.type === 'cancel') return model.abandon('cancelled')
      Object.assign(model, { state: 'running', deadline: now + timeoutMs })
      for (const stage of model.stages) {
        if (stage.state !== 'completed') Object.assign(stage, { state: 'blocked', attempts: 0, job: undefined })
      }
      return model.settle()
    }
    default: {
      const held = model.stages.filter(({ job }) => job)
      const own = held[step.pick % Math.max(held.length, 1)]
      if (own) await change(t, model, own, step.type)
    }
  }
}

async function change(t: Harness, model: Model, stage: ModelStage, type: 'complete' | 'fail' | 'release' | 'cancelTask'): Promise<void> {
  const job = stage.job!
  stage.job = undefined
  if (type === 'cancelTask') {
    await t.store.jobs.cancel(t.scope, job.seq, '', t.clock.now())
    stage.state = 'cancelled'
  } else if (type === 'complete') {
    expect(await t.complete(job)).toEqual({})
    stage.state = 'completed'
  } else if (type === 'fail') {
    expect(await t.fail(job)).toEqual({})
    if (stage.attempts === maxAttempts) stage.state = 'failed'
  } else {
    expect(await t.settle(job, { type: 'release' })).toEqual({})
    stage.attempts--
  }
  model.settle()
}

async function agree(t: Harness, model: Model, seq: number): Promise<void> {
  expect(await statesOf(t, seq)).toEqual(Object.fromEntries([['', model.state], ...model.stages.map(({ name, state }) => [name, state])]))
  const events = await t.store.pipelines.events(t.scope, seq, { limit: 10_000, after: 0 })
  expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => i + 1))
  // Whoever follows the events knows what is.
  const last = new Map(events.map(({ name, state }) => [name, state]))
  const names = Object.fromEntries(Object.entries(JobState).map(([name, state]) => [state, name]))
  for (const { name, state } of model.stages) expect([name, names[last.get(name)!]]).toEqual([name, state])
  expect(last.has('') ? names[last.get('')!] : 'running').toBe(model.state)
}

/** Any history of a pipeline of any shape leaves it where the model says it is; and when everything is done that can be, it has ended. */
export const pipelineModelCases: readonly Case[] = [
  {
    name: 'any history of pipelines agrees with the model, and none is stuck',
    async run(fresh) {
      await tryEach(fresh, 60, [graph, fc.boolean(), fc.array(step, { maxLength: 40 })], async (t, graph, goOn, steps) => {
        const stages = graph.map((dependsOn, i) => stage(`s${i}`, dependsOn, { maxAttempts }))
        const seq = await create(t, stages, { continueOnFailure: goOn, timeoutMs })
        const model = new Model(graph, goOn, t.clock.now())
        await agree(t, model, seq)
        for (const step of steps) {
          await play(t, model, seq, step)
          await agree(t, model, seq)
        }
        for (let i = 0; model.state === 'running' && i < 50; i++) {
          await play(t, model, seq, { type: 'claim', max: 3 })
          await play(t, model, seq, { type: 'complete', pick: 0 })
          if (i % 5 === 4) await play(t, model, seq, { type: 'advance', ms: testBackoffMs })
          await agree(t, model, seq)
        }
        expect(model.state).not.toBe('running')
      })
    },
  },
]
