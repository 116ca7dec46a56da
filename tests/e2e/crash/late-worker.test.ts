import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { clientOf, freshName, useServer } from '../harness/fixture.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'
import { rawClient } from '../raw/raw.ts'
import { createCast } from './cast.ts'
import { check } from './checker.ts'
import { readFinals } from './finals.ts'
import { type Fact, readJournals } from './journal.ts'
import { functionName, queueName, type WorkerMode } from './settings.ts'

const leaseMs = 1000
const fixture = useServer()

test.concurrent.each<WorkerMode>(['worker', 'deliveries', 'receive', 'raw'])(
  'a paused worker (%s) is too late with every call',
  async (mode) => {
    const { endpoint, key } = fixture.server
    const namespace = freshName('late')
    const folder = temporaryFolder()
    const cast = createCast()
    const enter = (name: string) => cast.enter('worker', { endpoint, key, namespace, folder, leaseMs, name, mode } as { name: string })
    const facts = () => readJournals(folder)
    const factsOf = <T extends Fact['type']>(type: T, worker: string) =>
      facts().filter((fact): fact is Extract<Fact, { type: T }> => fact.type === type && 'worker' in fact && fact.worker === worker)

    using queues = rawClient('QueueService', { endpoint, key, namespace })
    const retryPolicy = { maxAttempts: 5, initialBackoffMs: 0, strategy: 'BACKOFF_STRATEGY_FIXED' }
    for (const queue of [queueName, 'default']) await queues.call('UpdateQueue', { queue, retryPolicy })

    const slow = await enter('slow')
    const mr = clientOf(fixture.server, { namespace })
    const payload = { n: `${mode}.1`, plan: 'late' }
    const id =
      mode === 'raw'
        ? (await mr.tasks.submit({ function: functionName, payload })).taskId
        : (await mr.queue(queueName).enqueue(payload)).jobId

    await until('the slow worker begins', () => factsOf('effect', 'slow').length > 0)
    slow.child.kill('SIGSTOP')
    const began = Date.now()
    const quick = await enter('quick')
    await until('another worker completes the job', () => factsOf('acknowledged', 'quick').length > 0)
    expect(Date.now() - began).toBeLessThan(leaseMs + 3000) // lease, grace, and the start of the other worker
    await sleep(Math.max(0, leaseMs + 1000 - (Date.now() - began)))
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

    const finals = await readFinals([id], { endpoint, key, namespace })
    expect(finals).toMatchObject([{ state: 'completed', attempts: 2, result: { attempt: 2 } }])
    const [submitted]: Fact[] = [{ at: 0, type: 'submitted', id, n: payload.n, plan: 'late' }]
    expect(check([submitted!, ...facts()], finals, { leaseMs }).violations).toEqual([])
    expect(cast.failures).toEqual([])
  },
)
