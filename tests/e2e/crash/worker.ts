// A worker process of the crash test. See `WorkerSettings` for its argument.
import { setTimeout as sleep } from 'node:timers/promises'
import { Millrace, type ReceivedJob, UnavailableError } from '@millrace/client'
import { openJournal, type Payload, type Result } from './journal.ts'
import { runRawWorker } from './raw-worker.ts'
import { functionName, obeyParent, queueName, readSettings, statefulName, stubborn, type WorkerSettings } from './settings.ts'
import { attemptCall, delivery, type Held, PlannedFailure, perform } from './work.ts'

const settings = readSettings<WorkerSettings>()
const { endpoint, key, namespace, name, folder, leaseMs, mode, concurrency } = settings
const journal = openJournal(folder, name)
const mr = new Millrace({ endpoint, apiKey: key, namespace, ...stubborn })
const stopping = new AbortController()
const queue = mr.queue<Payload>(queueName)

const heldOf = (job: ReceivedJob<Payload>): Held => ({ id: job.id, attempt: job.attempt, token: job.leaseToken, payload: job.payload })

/** Works on a job by hand: what its plan says, then complete or fail until the server has answered. */
async function byHand(job: ReceivedJob<Payload>): Promise<void> {
  const held = heldOf(job)
  const late = { renew: () => job.renew(leaseMs), fail: () => job.fail(new Error('late')) }
  try {
    const result = await perform(journal, name, leaseMs, held, late)
    await attemptCall(journal, name, held, 'complete', () => job.complete(result))
  } catch (error) {
    if (!(error instanceof PlannedFailure)) throw error
    await attemptCall(journal, name, held, 'fail', () => job.fail(error))
  }
}

async function receiveInALoop(): Promise<void> {
  const { signal } = stopping
  while (!signal.aborted) {
    try {
      const jobs = await queue.receive({ max: concurrency, lease: leaseMs, wait: '1s', workerId: name, signal })
      await Promise.all(jobs.map(byHand))
    } catch (error) {
      // Taking jobs is not repeated by the SDK: those of a lost answer come back after their lease.
      if (!(error instanceof UnavailableError) && !signal.aborted) throw error
      await sleep(50)
    }
  }
}

async function takeDeliveries(): Promise<void> {
  const { signal } = stopping
  const working = new Set<Promise<void>>()
  try {
    for await (const job of queue.deliveries({ lease: leaseMs, concurrency, signal })) {
      const work = byHand(job).finally(() => working.delete(work))
      working.add(work)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  await Promise.all(working)
}

/** Workers as most users have them: the SDK settles, and says so by events. */
async function runWorkers(): Promise<() => Promise<void>> {
  const held = new Map<string, Held>()
  const handle = async (job: Held, signal: AbortSignal): Promise<Result> => {
    held.set(`${job.id}/${job.attempt}`, job)
    signal.addEventListener('abort', () => journal.write({ type: 'aborted', ...delivery(name, job) }))
    return perform(journal, name, leaseMs, job)
  }
  const workers = [
    mr.worker<Payload>({
      queue: queueName,
      concurrency,
      lease: leaseMs,
      handler: (job, ctx) => handle({ id: job.id, attempt: job.attempt, token: '', payload: job.payload }, ctx.signal),
    }),
    mr.worker({
      tasks: {
        [functionName]: (payload, ctx) => handle({ id: ctx.id, attempt: ctx.attempt, token: '', payload: payload as Payload }, ctx.signal),
        // Changes the state before it may fail: a failed attempt must leave no trace of it.
        [statefulName]: (payload, ctx) => {
          ctx.state = [...(ctx.state as string[]), (payload as Payload).n]
          return handle({ id: ctx.id, attempt: ctx.attempt, token: '', payload: payload as Payload }, ctx.signal)
        },
      },
      concurrency,
      lease: leaseMs,
    }),
  ]
  for (const worker of workers) {
    worker.on('completed', ({ id, attempt }) => {
      const job = held.get(`${id}/${attempt}`)
      if (job) journal.write({ type: 'acknowledged', action: 'complete', ...delivery(name, job) })
    })
    // Refused settlements and broken connections come this way; the checker sees their consequences.
    worker.on('error', () => {})
    await worker.start()
  }
  return async () => {
    await Promise.all(workers.map((worker) => worker.stop({ drain: '20s' })))
  }
}

function begin(): Promise<() => Promise<void>> | (() => Promise<void>) {
  switch (mode) {
    case 'worker':
      return runWorkers()
    case 'raw':
      return runRawWorker({ ...settings, journal })
    default: {
      const running = mode === 'receive' ? receiveInALoop() : takeDeliveries()
      return async () => {
        stopping.abort()
        await running
      }
    }
  }
}

const end = await begin()
obeyParent(async () => {
  await end()
  await mr.close()
}, journal)
process.send?.('ready')
