import { expect } from 'vitest'
import { type ClaimedJob, JobState, type NewPipeline, type NewStage } from '../ports.ts'
import { type Case, type Harness, testBackoffMs } from './harness.ts'

const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)), contentType: '' })
const parse = (data: Uint8Array | undefined) => data && JSON.parse(Buffer.from(data).toString())
const names = Object.fromEntries(Object.entries(JobState).map(([name, state]) => [state, name]))

/** A stage whose jobs are plain jobs of the queue `q`. */
export function stage(name: string, dependsOn: readonly number[] = [], more: Partial<NewStage> & { maxAttempts?: number } = {}): NewStage {
  const { maxAttempts = 1, ...rest } = more
  const retry = { maxAttempts, initialBackoffMs: testBackoffMs, maxBackoffMs: 60_000, multiplier: 2, strategy: 'fixed', jitter: 0 } as const
  const task = { queue: 'q', function: '', labels: {}, priority: 0, timeoutMs: 0, retry }
  return { name, task, payload: json(name), dependsOn, ...rest }
}

/** Starts a pipeline. */
export function create(t: Harness, stages: readonly NewStage[], more: Partial<NewPipeline> = {}, requestId = ''): Promise<number> {
  const pipeline = { name: 'p', stages, continueOnFailure: false, timeoutMs: 0, ...more }
  return t.store.pipelines.create(t.scope, pipeline, requestId, t.clock.now())
}

/** The pipeline's state, and its stages'. */
export async function statesOf(t: Harness, seq: number): Promise<Record<string, string>> {
  const pipeline = (await t.store.pipelines.get(t.scope, seq))!
  return Object.fromEntries(
    [['', pipeline], ...pipeline.stages!.map((s) => [s.name, s] as const)].map(([n, s]) => [n, names[(s as { state: number }).state]!]),
  )
}

/** All that happened, `stage state` each. */
async function eventsOf(t: Harness, seq: number, after = 0): Promise<string[]> {
  const events = await t.store.pipelines.events(t.scope, seq, { limit: 1000, after })
  expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => after + i + 1))
  return events.map(({ name, state }) => `${name} ${names[state]}`.trim())
}

const inputsOf = (job: ClaimedJob) => Object.fromEntries(job.stage!.inputs.map(({ stage, result }) => [stage, parse(result?.data)]))
const complete = (t: Harness, job: ClaimedJob, result: unknown) => t.complete(job, JSON.stringify(result))
const resultOf = async (t: Harness, seq: number, position: number) => parse((await t.store.pipelines.result(t.scope, seq, position))?.data)

/** Jobs that depend on each other. */
export const pipelineCases: readonly Case[] = [
  {
    name: 'stages that fail as they begin end once, and no job of those that begin with them is left',
    async run(t) {
      const list = new TextEncoder().encode('[1,2]')
      const wrong = [1, 2].map((i) => stage(`wrong${i}`, [0], { forEach: 0 }))
      const seq = await create(t, [stage('a'), ...wrong, stage('listed', [0], { forEach: list }), stage('plain', [0])])
      const over = { '': 'failed', a: 'completed', wrong1: 'failed', wrong2: 'cancelled', listed: 'cancelled', plain: 'cancelled' }
      const [a] = await t.claim()
      await complete(t, a!, 'no list')
      expect(await statesOf(t, seq)).toEqual(over)
      expect((await t.store.pipelines.get(t.scope, seq))!.stagesLeft).toBe(0)
      const none = { pending: 0, blocked: 0, processing: 0 }
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ ...none, cancelled: 1 })
      // They fail once more as it is tried again.
      await t.store.pipelines.retry(t.scope, seq, t.clock.now())
      expect(await statesOf(t, seq)).toEqual(over)
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ ...none, cancelled: 1 })
      expect(await t.claim()).toEqual([])
    },
  },
  {
    name: 'counts an item once that was let go, taken again and never ended, and one that is settled twice in one call',
    async run(t) {
      const list = new TextEncoder().encode('[1,2,3]')
      const seq = await create(t, [stage('each', [], { forEach: list })], { continueOnFailure: true })
      const itemsLeft = async () => (await t.store.pipelines.get(t.scope, seq))!.stages![0]!.itemsLeft
      const [first] = await t.claim({ max: 1 })
      await t.settle(first!, { type: 'release' })
      const [again, second] = await t.claim({ max: 2 })
      expect(again!.seq).toBe(first!.seq)
      const complete = { type: 'complete', result: new TextEncoder().encode('1'), contentType: '' } as const
      const both = [0, 1].map(() => ({ seq: second!.seq, token: second!.token, action: complete }))
      // A repeat is answered as the first was.
      expect(await t.store.jobs.settle(t.scope, both, t.clock.now())).toEqual([{}, {}])
      expect(await itemsLeft()).toBe(2)
      // Both leases of the first are over by now.
      await t.tick(60_000)
      expect(await itemsLeft()).toBe(1)
      const [third] = await t.claim()
      const fail = { type: 'fail', error: { message: '', code: '', stack: '' }, noRetry: true, delayMs: undefined } as const
      const twice = [0, 1].map(() => ({ seq: third!.seq, token: third!.token, action: fail }))
      await t.store.jobs.settle(t.scope, twice, t.clock.now())
      expect(await t.store.pipelines.get(t.scope, seq)).toMatchObject({ state: JobState.failed, stagesLeft: 0 })
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, processing: 0, completed: 1, dead: 2 })
    },
  },
  {
    name: 'what waits for a list that turns out empty as the pipeline is tried again begins',
    async run(t) {
      const empty = new TextEncoder().encode('[]')
      const seq = await create(t, [stage('a'), stage('bad'), stage('none', [0], { forEach: empty }), stage('after', [2])])
      const [a, bad] = await t.claim()
      await t.fail(bad!)
      await complete(t, a!, 1)
      expect(await statesOf(t, seq)).toEqual({ '': 'failed', a: 'completed', bad: 'failed', none: 'cancelled', after: 'cancelled' })
      await t.store.pipelines.retry(t.scope, seq, t.clock.now())
      expect(await statesOf(t, seq)).toEqual({ '': 'running', a: 'completed', bad: 'pending', none: 'completed', after: 'pending' })
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 2, blocked: 0 })
      for (const job of await t.claim()) await complete(t, job, 1)
      expect(await statesOf(t, seq)).toMatchObject({ '': 'completed' })
    },
  },
  {
    name: 'begins each stage when those it depends on are done, and gives it their results',
    async run(t) {
      const seq = await create(t, [stage('a'), stage('b', [0]), stage('c', [0]), stage('d', [1, 2])])
      expect(await statesOf(t, seq)).toEqual({ '': 'running', a: 'pending', b: 'blocked', c: 'blocked', d: 'blocked' })
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 1, blocked: 3, total: 4 })
      const [a] = await t.claim()
      expect(a!.stage).toEqual({ pipeline: seq, name: 'a', inputs: [] })
      expect((await t.store.jobs.get(t.scope, a!.seq))!.pipeline).toBe(seq)
      t.ready.length = 0
      await complete(t, a!, { rows: 3 })
      expect(t.ready.length).toBeGreaterThan(0)
      expect(t.changes.map((change) => change.seq)).toContain(seq)
      await t.reopen()
      const [b, c] = await t.claim()
      expect([b!.stage!.name, c!.stage!.name]).toEqual(['b', 'c'])
      expect(inputsOf(c!)).toEqual({ a: { rows: 3 } })
      await complete(t, b!, 'B')
      expect(await t.claim()).toEqual([])
      await complete(t, c!, 'C')
      const [d] = await t.claim()
      expect(inputsOf(d!)).toEqual({ b: 'B', c: 'C' })
      await complete(t, d!, null)
      expect(await statesOf(t, seq)).toEqual({ '': 'completed', a: 'completed', b: 'completed', c: 'completed', d: 'completed' })
      expect(await eventsOf(t, seq)).toEqual([
        ...[
          'a pending',
          'b blocked',
          'c blocked',
          'd blocked',
          'a running',
          'a completed',
          'b pending',
          'c pending',
          'b running',
          'c running',
        ],
        ...['b completed', 'c completed', 'd pending', 'd running', 'd completed', 'completed'],
      ])
      expect(await eventsOf(t, seq, 14)).toEqual(['d completed', 'completed'])
      expect(await resultOf(t, seq, 0)).toEqual({ rows: 3 })
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ completed: 4, blocked: 0, processing: 0 })
    },
  },
  {
    name: 'stops at a failure: nothing else begins, what runs goes on, and the pipeline has failed when it is done',
    async run(t) {
      const seq = await create(t, [stage('a'), stage('b'), stage('c'), stage('d', [1])])
      const [a, b] = await t.claim({ max: 2 })
      await t.fail(a!)
      expect(await statesOf(t, seq)).toEqual({ '': 'running', a: 'failed', b: 'running', c: 'cancelled', d: 'cancelled' })
      expect(await t.claim()).toEqual([])
      expect(await complete(t, b!, 1)).toEqual({})
      expect(await statesOf(t, seq)).toMatchObject({ '': 'failed', b: 'completed' })
      const { stages, stagesLeft } = (await t.store.pipelines.get(t.scope, seq))!
      expect([stages![0]!.error, stagesLeft]).toEqual([{ message: 'no', code: 'E', stack: '' }, 0])
      expect((await eventsOf(t, seq)).slice(-5)).toEqual(['a failed', 'c cancelled', 'd cancelled', 'b completed', 'failed'])
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, blocked: 0, completed: 1, failed: 1, cancelled: 2 })
    },
  },
  {
    name: 'continues after a failure with what does not depend on it, when asked to',
    async run(t) {
      const stages = [stage('a'), stage('b'), stage('a1', [0]), stage('a2', [2, 1]), stage('b1', [1])]
      const seq = await create(t, stages, { continueOnFailure: true })
      const [a, b] = await t.claim()
      await t.fail(a!)
      expect(await statesOf(t, seq)).toEqual({ '': 'running', a: 'failed', b: 'running', a1: 'cancelled', a2: 'cancelled', b1: 'blocked' })
      await complete(t, b!, 1)
      const [b1] = await t.claim()
      await complete(t, b1!, 1)
      expect(await statesOf(t, seq)).toMatchObject({ '': 'failed', b1: 'completed', a2: 'cancelled' })
    },
  },
  {
    name: 'runs a stage once for each item of a list, its own or that of another stage, and brings the results together in order',
    async run(t) {
      const list = new TextEncoder().encode('[1,2,3]')
      const seq = await create(t, [
        stage('own', [], { forEach: list }),
        stage('make'),
        stage('each', [1], { forEach: 1 }),
        stage('join', [0, 2]),
        stage('again', [2], { forEach: 2 }),
      ])
      const jobs = await t.claim()
      expect(jobs.map((job) => [job.stage!.name, parse(job.payload)])).toEqual([
        ['make', 'make'],
        ['own', 1],
        ['own', 2],
        ['own', 3],
      ])
      for (const job of [...jobs].reverse()) await complete(t, job, job.stage!.name === 'make' ? ['x', 'y'] : parse(job.payload) * 10)
      const each = await t.claim()
      expect(each.map((job) => [job.stage!.name, parse(job.payload), inputsOf(job)])).toEqual([
        ['each', 'x', { make: ['x', 'y'] }],
        ['each', 'y', { make: ['x', 'y'] }],
      ])
      expect((await t.store.pipelines.get(t.scope, seq))!.stages![2]).toMatchObject({ items: 2, itemsLeft: 2, job: undefined })
      await complete(t, each[1]!, 'Y')
      await complete(t, each[0]!, 'X')
      const last = await t.claim()
      expect(last.map((job) => parse(job.payload))).toEqual(['join', 'X', 'Y'])
      expect(inputsOf(last[0]!)).toEqual({ own: [10, 20, 30], each: ['X', 'Y'] })
      for (const job of last) await complete(t, job, 0)
      expect(await statesOf(t, seq)).toMatchObject({ '': 'completed', again: 'completed' })
      expect(await resultOf(t, seq, 4)).toEqual([0, 0])
    },
  },
  {
    name: 'an empty list is done at once; a result that is no list fails its stage; a failed item fails it when the others are done',
    async run(t) {
      const empty = await create(t, [stage('none', [], { forEach: new TextEncoder().encode('[]') }), stage('next', [0])])
      const [next] = await t.claim()
      expect(inputsOf(next!)).toEqual({ none: [] })
      await complete(t, next!, 1)
      expect(await statesOf(t, empty)).toEqual({ '': 'completed', none: 'completed', next: 'completed' })
      const wrong = await create(t, [stage('a'), stage('each', [0], { forEach: 0 }), stage('after', [1])])
      const [a] = await t.claim()
      await complete(t, a!, { not: 'a list' })
      expect(await statesOf(t, wrong)).toEqual({ '': 'failed', a: 'completed', each: 'failed', after: 'cancelled' })
      expect((await t.store.pipelines.get(t.scope, wrong))!.stages![1]!.error!.message).toContain('JSON array')
      const bad = await create(t, [stage('each', [], { forEach: new TextEncoder().encode('[1,2]') }), stage('after', [0])])
      const [one, two] = await t.claim()
      await t.fail(one!)
      expect(await statesOf(t, bad)).toMatchObject({ '': 'running', each: 'running' })
      await complete(t, two!, 2)
      expect(await statesOf(t, bad)).toEqual({ '': 'failed', each: 'failed', after: 'cancelled' })
      await t.store.pipelines.retry(t.scope, bad, t.clock.now())
      const again = await t.claim()
      expect(again.map((job) => parse(job.payload))).toEqual([1])
      await complete(t, again[0]!, 1)
      expect(inputsOf((await t.claim())[0]!)).toEqual({ each: [1, 2] })
    },
  },
  {
    name: 'cancels all that has not ended, also by time, and runs it again from there with fresh attempts',
    async run(t) {
      const seq = await create(t, [stage('a'), stage('b', [0], { maxAttempts: 2 }), stage('c', [1])], { timeoutMs: 60_000 })
      await complete(t, (await t.claim())[0]!, 1)
      const [b] = await t.claim()
      await t.store.pipelines.cancel(t.scope, seq, 'not needed', t.clock.now())
      expect(await statesOf(t, seq)).toEqual({ '': 'cancelled', a: 'completed', b: 'cancelled', c: 'cancelled' })
      expect((await t.store.pipelines.get(t.scope, seq))!.reason).toBe('not needed')
      expect(await complete(t, b!, 1)).toMatchObject({ error: { reason: 'CONFLICT' } })
      await expect(t.store.pipelines.cancel(t.scope, seq, '', t.clock.now())).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await expect(t.store.jobs.retry(t.scope, b!.seq, t.clock.now())).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      await t.store.pipelines.retry(t.scope, seq, t.clock.now())
      await expect(t.store.pipelines.retry(t.scope, seq, t.clock.now())).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      expect(await statesOf(t, seq)).toEqual({ '': 'running', a: 'completed', b: 'pending', c: 'blocked' })
      const [again] = await t.claim({ leaseMs: 600_000 })
      expect([again!.attempt, inputsOf(again!)]).toEqual([1, { a: 1 }])
      expect(await t.store.jobs.nextDueAt()).toBeLessThanOrEqual(t.clock.now() + 60_000)
      await t.tick(60_000)
      expect(await statesOf(t, seq)).toEqual({ '': 'failed', a: 'completed', b: 'cancelled', c: 'cancelled' })
      expect(t.changes).toContainEqual(expect.objectContaining({ seq: again!.seq, cause: 'cancelled' }))
      expect((await t.store.pipelines.get(t.scope, seq))!.reason).toContain('timeout')
      expect((await eventsOf(t, seq)).slice(-3)).toEqual(['b cancelled', 'c cancelled', 'failed'])
    },
  },
  {
    name: 'a stage is tried again before it fails; cancelling its task fails the pipeline',
    async run(t) {
      const seq = await create(t, [stage('a', [], { maxAttempts: 2 }), stage('b', [0])])
      await t.fail((await t.claim())[0]!)
      expect(await statesOf(t, seq)).toEqual({ '': 'running', a: 'running', b: 'blocked' })
      await t.tick(testBackoffMs)
      const [a] = await t.claim()
      expect(a!.attempt).toBe(2)
      await t.store.jobs.cancel(t.scope, a!.seq, '', t.clock.now())
      expect(await statesOf(t, seq)).toEqual({ '': 'failed', a: 'cancelled', b: 'cancelled' })
    },
  },
  {
    name: 'a list that is too large, or nested too deeply, fails the stage that runs for each of its items',
    async run(t) {
      const list = new TextEncoder().encode('[1,2]')
      const stages = [stage('large', [], { forEach: list }), stage('each', [0], { forEach: 0 }), stage('plain', [0])]
      const seq = await create(t, [...stages, stage('deep'), stage('deeper', [3], { forEach: 3 })], { continueOnFailure: true })
      const [deep, one, two] = await t.claim()
      await complete(t, one!, 'x'.repeat(9_000_000))
      await complete(t, two!, 'x'.repeat(9_000_000))
      const nested = `[${'['.repeat(100_000)}${']'.repeat(100_000)}]`
      await t.complete(deep!, nested)
      const over = { large: 'completed', each: 'failed', plain: 'pending', deep: 'completed', deeper: 'failed' }
      expect(await statesOf(t, seq)).toEqual({ '': 'running', ...over })
      const errors = (await t.store.pipelines.get(t.scope, seq))!.stages!.map(({ error }) => error?.message)
      expect(errors).toEqual([
        undefined,
        expect.stringContaining('16777216 is the most'),
        undefined,
        undefined,
        expect.stringContaining('JSON array'),
      ])
      // They are a list of too many bytes for whoever reads it, too.
      await expect(resultOf(t, seq, 0)).rejects.toMatchObject({ reason: 'QUOTA_EXCEEDED' })
      const [plain] = await t.claim()
      expect(plain!.stage!.inputs.map(({ result }) => result)).toEqual([undefined])
      // One result may be as large as a payload.
      await complete(t, plain!, 'x'.repeat(17_000_000))
      expect(await resultOf(t, seq, 2)).toHaveLength(17_000_000)
      expect(await statesOf(t, seq)).toMatchObject({ '': 'failed' })
    },
  },
  {
    name: 'leaves large results of dependencies to be fetched',
    async run(t) {
      const seq = await create(t, [stage('a'), stage('b'), stage('c', [0, 1])])
      const [a, b] = await t.claim()
      await complete(t, a!, 'small')
      await complete(t, b!, 'x'.repeat(400_000))
      const [c] = await t.claim()
      expect(c!.stage!.inputs.map(({ stage, result }) => [stage, result !== undefined])).toEqual([
        ['a', true],
        ['b', false],
      ])
      expect(await resultOf(t, seq, 1)).toHaveLength(400_000)
    },
  },
  {
    name: 'keeps the cancelled tasks of a pipeline that may be run again as long as failed ones',
    async run(t) {
      const failed = await create(t, [stage('a'), stage('b', [0])])
      const cancelled = await create(t, [stage('a'), stage('b', [0])])
      await t.fail((await t.claim({ max: 1 }))[0]!)
      await t.store.pipelines.cancel(t.scope, cancelled, '', t.clock.now())
      const [plain] = await t.enqueue({})
      await t.store.jobs.cancel(t.scope, plain!, '', t.clock.now())
      const jobOf = async (seq: number, position: number) => (await t.store.pipelines.get(t.scope, seq))!.stages![position]!.job!
      const [kept, gone] = [await jobOf(failed, 1), await jobOf(cancelled, 1)]
      const retention = { completedMs: 1000, failedMs: 10_000, cancelledMs: 1000, requestsMs: 1e9 }
      const sweep = async () => {
        while ((await t.store.jobs.sweep(retention, t.clock.now(), 2)) === 2);
      }
      const left = async () => {
        const jobs = await Promise.all([kept, gone, plain!].map((seq) => t.store.jobs.get(t.scope, seq)))
        return jobs.map((job) => job !== undefined)
      }
      await t.clock.advance(1001)
      await sweep()
      expect(await left()).toEqual([true, false, false])
      expect(await t.store.pipelines.get(t.scope, cancelled)).toBeUndefined()
      await t.store.pipelines.retry(t.scope, failed, t.clock.now())
      await complete(t, (await t.claim())[0]!, 1)
      await t.fail((await t.claim())[0]!)
      expect(await statesOf(t, failed)).toEqual({ '': 'failed', a: 'completed', b: 'failed' })
      // Those that are cancelled later are seen to in their turn.
      const [next] = await t.enqueue({})
      await t.store.jobs.cancel(t.scope, next!, '', t.clock.now())
      await create(t, [stage('a'), stage('b', [0])])
      await t.fail((await t.claim())[0]!)
      await t.clock.advance(1001)
      await sweep()
      expect(await t.store.jobs.get(t.scope, next!)).toBeUndefined()
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ dead: 2 })
      await t.clock.advance(10_000)
      await sweep()
      expect((await t.store.pipelines.list(t.scope, {}, { limit: 10 })).items).toEqual([])
      expect(await t.store.queues.stats(t.scope, 'q')).toMatchObject({ pending: 0, blocked: 0, dead: 0 })
      expect((await t.store.jobs.list(t.scope, {}, { limit: 10 })).items).toEqual([])
    },
  },
  {
    name: 'answers a repeated request as the first, lists and hides pipelines, and forgets them after their retention',
    async run(t) {
      const seq = await create(t, [stage('a')], {}, 'r1')
      expect(await create(t, [stage('a')], {}, 'r1')).toBe(seq)
      const other = await create(t, [stage('a')], { name: 'other' })
      expect((await t.store.queues.stats(t.scope, 'q')).total).toBe(2)
      const list = async (filter: object, limit = 10) =>
        (await t.store.pipelines.list(t.scope, filter, { limit })).items.map((item) => item.seq)
      expect(await list({})).toEqual([other, seq])
      expect(await list({ name: 'p' })).toEqual([seq])
      expect(await list({}, 1)).toEqual([other])
      for (const job of await t.claim()) await complete(t, job, 1)
      expect(await list({ states: [JobState.completed] })).toEqual([other, seq])
      expect(await t.store.pipelines.stateOf(t.scope, seq)).toBe(JobState.completed)
      for (const scope of [t.otherTenant, t.otherNamespace]) {
        expect(await t.store.pipelines.get(scope, seq)).toBeUndefined()
        expect(await t.store.pipelines.stateOf(scope, seq)).toBeUndefined()
        expect((await t.store.pipelines.list(scope, {}, { limit: 10 })).items).toEqual([])
        expect(await t.store.pipelines.events(scope, seq, { limit: 10, after: 0 })).toEqual([])
        expect(await t.store.pipelines.result(scope, seq, 0)).toBeUndefined()
        await expect(t.store.pipelines.cancel(scope, seq, '', t.clock.now())).rejects.toMatchObject({ reason: 'NOT_FOUND' })
        await expect(t.store.pipelines.retry(scope, seq, t.clock.now())).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      }
      await t.clock.advance(1001)
      const keep = { completedMs: 1000, failedMs: 1e9, cancelledMs: 1e9, requestsMs: 1e9 }
      while ((await t.store.jobs.sweep(keep, t.clock.now(), 100)) > 0);
      expect(await list({})).toEqual([])
      expect(await t.store.pipelines.get(t.scope, seq)).toBeUndefined()
    },
  },
]
