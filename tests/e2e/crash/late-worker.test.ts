import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'
import { json } from '../raw/raw.ts'
import { createCast } from './cast.ts'
import { check } from './checker.ts'
import { readFinals } from './finals.ts'
import { type Fact, type Payload, readJournals } from './journal.ts'
import { functionName, queueName, type WorkerMode, type WorkerSettings } from './settings.ts'

/** Longer than a worker process takes to start: the other worker waits in line when the lease ends. */
const leaseMs = 3000
/** What a redelivery may take beyond the lease on a busy machine: less than another lease. */
const graceMs = 2500
const fixture = useServer()

/** The stage of one test: a namespace, its journals, and the workers `slow` and `quick`. */
async function setStage(mode: WorkerMode, concurrency: number) {
  const { endpoint, key } = fixture.server
  const namespace = freshName('late')
  const folder = temporaryFolder()
  const cast = createCast()
  const queues = fixture.raw('QueueService', { namespace })
  const retryPolicy = { maxAttempts: 5, initialBackoffMs: 0, strategy: 'BACKOFF_STRATEGY_FIXED' }
  for (const queue of [queueName, 'default']) await queues.call('UpdateQueue', { queue, retryPolicy })
  const facts = () => readJournals(folder)
  return {
    cast,
    facts,
    factsOf: <T extends Fact['type']>(type: T, worker: string) =>
      facts().filter((fact): fact is Extract<Fact, { type: T }> => fact.type === type && 'worker' in fact && fact.worker === worker),
    enter(name: string) {
      const settings: WorkerSettings = { endpoint, key, namespace, folder, leaseMs, name, mode, concurrency }
      return cast.enter('worker', settings)
    },
    /** Submits a job that the first worker keeps. */
    async submit(payload: Payload): Promise<string> {
      if (mode !== 'raw') {
        const { results } = await queues.call<{ results: { jobId: string }[] }>('EnqueueJobs', {
          queue: queueName,
          jobs: [{ payload: json(payload) }],
        })
        return results[0]!.jobId
      }
      const task = { function: functionName, payload: json(payload) }
      return (await fixture.raw('TaskService', { namespace }).call<{ taskId: string }>('SubmitTask', { task })).taskId
    },
    finals: (ids: readonly string[]) => readFinals(ids, { endpoint, key, namespace }),
  }
}

test.each<WorkerMode>(['worker', 'deliveries', 'receive', 'raw'])('a paused worker (%s) is too late with every call', async (mode) => {
  const { cast, facts, factsOf, enter, submit, finals } = await setStage(mode, 1)
  const slow = await enter('slow')
  const payload: Payload = { n: `${mode}.1`, plan: 'late' }
  const id = await submit(payload)
  await until('the slow worker begins', () => factsOf('effect', 'slow').length > 0)
  slow.child.kill('SIGSTOP')
  const stopped = Date.now()
  const quick = await enter('quick')
  const due = Math.max(Date.now(), stopped + leaseMs)
  await until('another worker completes the job', () => factsOf('acknowledged', 'quick').length > 0)
  expect(factsOf('effect', 'quick')[0]!.at).toBeLessThan(due + graceMs)
  await sleep(Math.max(0, stopped + leaseMs + 1000 - Date.now()))
  slow.child.kill('SIGCONT')

  if (mode === 'worker') {
    // The SDK tells the handler that its lease is lost, and its late completion is not reported as done.
    await until('the handler is told', () => factsOf('aborted', 'slow').length > 0)
  } else {
    await until('its late calls are answered', () => factsOf('refused', 'slow').length === 3)
    expect(factsOf('refused', 'slow').map(({ action, code }) => [action, code])).toEqual([
      ['renew', 'CONFLICT'],
      ['fail', 'CONFLICT'],
      ['complete', 'CONFLICT'],
    ])
  }
  await slow.stop()
  await quick.stop()
  expect(factsOf('acknowledged', 'slow')).toEqual([])
  expect(factsOf('effect', 'quick').map(({ attempt }) => attempt)).toEqual([2])

  const ends = await finals([id])
  expect(ends).toMatchObject([{ state: 'completed', attempts: 2, result: { attempt: 2 } }])
  const submitted: Fact = { at: 0, type: 'submitted', id, ...payload }
  expect(check([submitted, ...facts()], ends, { leaseMs }).violations).toEqual([])
  expect(cast.failures).toEqual([])
})

test('the jobs of a paused worker go to one that works, not to the paused one again', async () => {
  const { cast, factsOf, enter, submit } = await setStage('raw', 8)
  const slow = await enter('slow')
  for (let n = 0; n < 4; n++) await submit({ n: `${n}`, plan: 'late' })
  await until('the slow worker begins', () => factsOf('effect', 'slow').length === 4)
  slow.child.kill('SIGSTOP')
  const stopped = Date.now()
  const quick = await enter('quick')
  const due = Math.max(Date.now(), stopped + leaseMs)
  await until('another worker completes them', () => factsOf('acknowledged', 'quick').length === 4)
  const began = factsOf('effect', 'quick').map(({ at }) => at)
  await cast.kill(slow)
  await quick.stop()
  expect(Math.max(...began)).toBeLessThan(due + graceMs)
})
