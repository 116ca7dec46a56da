import fc from 'fast-check'
import { expect } from 'vitest'
import { type ClaimedJob, JobState, type NewStage, type PipelineRecord } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'
import { create, stage } from './pipelines.ts'
import { tryEach } from './tries.ts'

const long = process.env.MILLRACE_LONG === '1'
/** Pipelines that are under way at a time, and how often so many: 10,000 in the long form. */
const atOnce = 20
const batches = long ? 500 : 3
const leaseMs = 5000
const stageTimeoutMs = 3000
const pipelineTimeoutMs = 60_000
/** Times that something may go wrong; then everything goes well, so that all can end. */
const mostTrouble = 300

/** What becomes of a job that was claimed. */
type Fate = 'complete' | 'completeOddly' | 'fail' | 'failForGood' | 'release' | 'cancel' | 'late'
const fate = fc.constantFrom<Fate>(
  ...Array<Fate>(12).fill('complete'),
  'completeOddly',
  'fail',
  'fail',
  'failForGood',
  'release',
  'cancel',
  'late',
  'late',
)
/** Where nobody cancels a job, what was skipped is known. */
const gentleFate: fc.Arbitrary<Fate> = fate.filter((fate) => fate !== 'cancel')

/** Each stage waits for some of those before it; some run once for each item of a list, their own or another stage's. */
const stages = fc
  .array(
    fc.record({
      picks: fc.array(fc.nat(), { maxLength: 3 }),
      each: fc.option(fc.oneof(fc.nat(), fc.array(fc.nat(9), { maxLength: 4 })), { nil: undefined, freq: 3 }),
      limited: fc.boolean(),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map((shapes) =>
    shapes.map(({ picks, each, limited }, i): NewStage => {
      const from = typeof each === 'number' && i > 0 ? each % i : undefined
      const dependsOn =
        i === 0 ? [] : [...new Set([...picks.map((pick) => pick % i), ...(from === undefined ? [] : [from])])].sort((a, b) => a - b)
      const forEach = from ?? (Array.isArray(each) ? new TextEncoder().encode(JSON.stringify(each)) : undefined)
      const { task, ...rest } = stage(`s${i}`, dependsOn, { maxAttempts: 2 })
      return { ...rest, task: { ...task, timeoutMs: limited ? stageTimeoutMs : 0 }, ...(forEach !== undefined && { forEach }) }
    }),
  )

const pipeline = fc.record({
  stages,
  continueOnFailure: fc.boolean(),
  timeoutMs: fc.constantFrom(0, 0, 0, pipelineTimeoutMs),
  /** When somebody cancels it, and when somebody tries it again: after so many rounds. */
  cancelAfter: fc.option(fc.nat(20), { nil: undefined, freq: 8 }),
  retryAfter: fc.option(fc.nat(20), { nil: undefined, freq: 3 }),
})
type Spec = typeof pipeline extends fc.Arbitrary<infer S> ? S : never

interface Flight {
  readonly seq: number
  readonly spec: Spec
}

/** Does with jobs what fate says; those that are given to nobody, or too late, stay as they are. */
class Storm {
  readonly #t: Harness
  readonly #fates: readonly Fate[]
  /** Leases that were let go, to be used once more when they are over. */
  readonly #old: ClaimedJob[] = []
  #next = 0

  constructor(t: Harness, fates: readonly Fate[]) {
    this.#t = t
    this.#fates = fates
  }

  async meet(job: ClaimedJob): Promise<void> {
    const fate = this.#next < mostTrouble ? this.#fates[this.#next++ % this.#fates.length]! : 'complete'
    const t = this.#t
    switch (fate) {
      case 'complete':
      case 'completeOddly':
        // A list, for stages that make one job of each item; or what cannot be one.
        expect(await t.complete(job, fate === 'complete' ? '[1,2]' : '7')).toEqual({})
        return
      case 'fail':
      case 'failForGood':
        expect(await t.fail(job, { noRetry: fate === 'failForGood' })).toEqual({})
        return
      case 'release':
        expect(await t.settle(job, { type: 'release' })).toEqual({})
        return
      case 'cancel':
        await t.store.jobs.cancel(t.scope, job.seq, '', t.clock.now())
        return
      case 'late':
        this.#old.push(job)
    }
  }

  /** Whoever kept a job past its lease is refused, whatever became of the job. */
  async comeLate(): Promise<void> {
    for (const job of this.#old.splice(0)) expect(await this.#t.complete(job)).toMatchObject({ error: { reason: 'CONFLICT' } })
  }
}

async function ride(t: Harness, flights: readonly Flight[], storm: Storm): Promise<void> {
  const retried = new Set<number>()
  for (let round = 0; round < 2000; round++) {
    for (const { seq, spec } of flights) {
      if (spec.cancelAfter === round) await t.store.pipelines.cancel(t.scope, seq, 'enough', t.clock.now()).catch(isOver)
      if (spec.retryAfter !== undefined && spec.retryAfter <= round && !retried.has(seq)) {
        const { state } = (await t.store.pipelines.get(t.scope, seq))!
        if (state !== JobState.failed && state !== JobState.cancelled) continue
        retried.add(seq)
        await t.store.pipelines.retry(t.scope, seq, t.clock.now())
      }
    }
    const jobs = await t.claim({ leaseMs, max: 50 })
    // Cancelling one may have ended others that were claimed with it: those are met in vain.
    for (const job of jobs) if ((await t.state(job.seq)) === JobState.running) await storm.meet(job)
    if (round % 40 === 20) await t.reopen()
    if (jobs.length > 0) continue
    if ((await running(t)) === 0 && flights.every(({ spec, seq }) => (spec.retryAfter ?? 0) <= round || retried.has(seq))) return
    await t.tick(Math.max(leaseMs, testBackoffMs))
    await storm.comeLate()
  }
}

async function running(t: Harness): Promise<number> {
  return (await t.store.pipelines.list(t.scope, { states: [JobState.running] }, { limit: 100 })).items.length
}

function isOver(error: { readonly reason?: string }): void {
  expect(error.reason).toBe('FAILED_PRECONDITION')
}

const ended = (state: JobState) => state === JobState.completed || state === JobState.failed || state === JobState.cancelled
const bad = (state: JobState) => state === JobState.failed || state === JobState.cancelled

/** It has ended, so have its stages, in states that go together; and whoever follows its events knows. */
async function check(t: Harness, { seq, spec }: Flight, undisturbed: boolean): Promise<void> {
  const record = (await t.store.pipelines.get(t.scope, seq))! as PipelineRecord & Required<Pick<PipelineRecord, 'stages'>>
  expect(ended(record.state), `the pipeline is ${record.state}`).toBe(true)
  expect(record.stagesLeft).toBe(0)
  const states = record.stages.map(({ state }) => state)
  expect(states.filter((state) => !ended(state))).toEqual([])
  expect(record.state === JobState.completed).toBe(states.every((state) => state === JobState.completed))
  for (const { dependsOn, state, items, itemsLeft } of record.stages) {
    if (state === JobState.completed) expect(dependsOn.filter((i) => states[i] !== JobState.completed)).toEqual([])
    if (state === JobState.completed && items !== undefined) expect(itemsLeft).toBe(0)
  }
  // What could have run was not left out, unless somebody, or time, ended the whole or one of its jobs.
  if (spec.continueOnFailure && spec.cancelAfter === undefined && spec.timeoutMs === 0 && undisturbed) {
    const skipped = record.stages.filter(({ state }) => state === JobState.cancelled)
    expect(skipped.filter(({ dependsOn }) => !dependsOn.some((i) => bad(states[i]!)))).toEqual([])
  }
  const events = await t.store.pipelines.events(t.scope, seq, { limit: 100_000, after: 0 })
  expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => i + 1))
  const last = new Map(events.map(({ name, state }) => [name, state]))
  expect([...last].filter(([name]) => name !== '').sort()).toEqual(record.stages.map(({ name, state }) => [name, state]).sort())
  expect(events.at(-1)).toMatchObject({ name: '', state: record.state })
}

/** Many pipelines of any shape at once, in which much goes wrong. */
export const pipelineStormCases: readonly Case[] = [
  {
    name: 'pipelines of any shape in which jobs fail, are lost, cancelled and late: none is stuck, each tells of its end',
    async run(fresh) {
      await tryEach(
        fresh,
        batches,
        [
          fc.array(pipeline, { minLength: atOnce, maxLength: atOnce }),
          fc.oneof(fc.array(fate, { minLength: 20, maxLength: 100 }), fc.array(gentleFate, { minLength: 20, maxLength: 100 })),
        ],
        async (t, specs, fates) => {
          const flights: Flight[] = []
          for (const spec of specs) {
            const { stages, continueOnFailure, timeoutMs } = spec
            flights.push({ seq: await create(t, stages, { continueOnFailure, timeoutMs }), spec })
          }
          await ride(t, flights, new Storm(t, fates))
          for (const flight of flights) await check(t, flight, !fates.includes('cancel'))
          expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, blocked: 0, scheduled: 0, processing: 0 })
        },
      )
    },
  },
]
