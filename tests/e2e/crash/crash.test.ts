import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createRandom, testSeed } from '../harness/random.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'
import { rawClient } from '../raw/raw.ts'
import { type Actor, type Cast, createCast } from './cast.ts'
import { check, type Report } from './checker.ts'
import { readFinals } from './finals.ts'
import { type Fact, type Journal, openJournal, readJournals } from './journal.ts'
import { type ProducerSettings, queueName, type WorkerMode, type WorkerSettings } from './settings.ts'

const long = process.env.MILLRACE_LONG === '1'
const kills = Number(process.env.MILLRACE_KILLS ?? (long ? 300 : 30))
const leaseMs = 2000
const namespace = 'crash'
/** Plain jobs and tasks each have several takers, so that one always lives. */
const modes: readonly WorkerMode[] = ['worker', 'worker', 'deliveries', 'receive', 'raw']
const producers = 2
/** Submissions a second, all producers together. */
const rate = 80

test(`${kills} kills: nothing acknowledged is lost, nothing is done twice`, { timeout: 60_000 + kills * 8000 }, async () => {
  const random = createRandom(testSeed(20_261_120))
  const folder = temporaryFolder()
  const journal = openJournal(folder, 'parent')
  await using server = await startServer({ flags: ['--log-level', 'warn'] })
  const { endpoint, key } = server
  await setRetryPolicy(server)
  const cast = createCast()
  const settings = { endpoint, key, namespace, folder, leaseMs }

  let entered = 0
  const enterWorker = (mode: WorkerMode) => {
    const worker: WorkerSettings = { ...settings, name: `${mode}-${++entered}`, mode, concurrency: 8 }
    return cast.enter('worker', worker)
  }
  const workers = await Promise.all(modes.map(enterWorker))
  const enterProducer = (_: unknown, i: number) => {
    const producer: ProducerSettings = { ...settings, name: `producer-${i}`, seed: random.int(0, 2 ** 31), rate: rate / producers }
    return cast.enter('producer', producer)
  }
  const submitters = await Promise.all(Array.from({ length: producers }, enterProducer))

  const paused: Promise<void>[] = []
  for (let i = 0; i < kills; i++) {
    await sleep(random.int(100, 1200))
    const dice = random.next()
    if (dice < 0.5) await killServer(server, journal, random.int(0, 300))
    else {
      const slot = random.int(0, workers.length - 1)
      const worker = workers[slot]!
      workers[slot] = await enterWorker(modes[slot]!) // first, so that somebody is always there
      journal.write({ type: 'worker-lost', worker: worker.name })
      if (dice < 0.85) await cast.kill(worker)
      else paused.push(pause(cast, worker))
    }
  }

  await Promise.all(paused)
  await Promise.all(submitters.map((submitter) => submitter.stop()))
  await drained(server)
  await Promise.all(workers.map((worker) => worker.stop()))
  journal.close()
  expect(cast.failures).toEqual([])

  const facts = readJournals(folder)
  const ids = new Set(facts.flatMap((fact) => ('id' in fact ? [fact.id] : [])))
  const report = check(facts, await readFinals([...ids], { endpoint, key, namespace }), { leaseMs })
  print(report)
  for (const { id } of report.violations) console.log(story(facts, id))
  expect(report.violations).toEqual([])
  // The run was worth its name: there was work, some of it was in the hands of those that were lost, some came too late.
  expect(report.jobs).toBeGreaterThan(kills * 20)
  expect(report.readyMs.length).toBeGreaterThan(kills / 4)
  expect(report.redeliveryMs.length).toBeGreaterThan(0)
  expect(median(report.readyMs)).toBeLessThan(2000)
})

async function setRetryPolicy({ endpoint, key }: ServerProcess): Promise<void> {
  using queues = rawClient('QueueService', { endpoint, key, namespace })
  const retryPolicy = { maxAttempts: 100, initialBackoffMs: 50, strategy: 'BACKOFF_STRATEGY_FIXED' }
  for (const queue of [queueName, 'default']) await queues.call('UpdateQueue', { queue, retryPolicy })
}

async function killServer(server: ServerProcess, journal: Journal, awayMs: number): Promise<void> {
  journal.write({ type: 'server-down' })
  await server.kill()
  await sleep(awayMs)
  await server.restart()
  journal.write({ type: 'server-up', readyMs: server.readyMs })
}

/** Stops a worker past its leases, lets it go on with its late calls, and ends it. */
async function pause(cast: Cast, worker: Actor): Promise<void> {
  worker.child.kill('SIGSTOP')
  await sleep(leaseMs + 1500)
  worker.child.kill('SIGCONT')
  await sleep(1500)
  await cast.kill(worker)
}

/** Waits until no job waits or runs. */
async function drained({ endpoint, key }: ServerProcess): Promise<void> {
  using queues = rawClient('QueueService', { endpoint, key, namespace })
  const left = async (queue: string) => {
    const stats = await queues.call<Record<string, string>>('GetQueueStats', { queue })
    return Number(stats.pending) + Number(stats.scheduled) + Number(stats.processing)
  }
  await until('every job ends', async () => (await left(queueName)) + (await left('default')) === 0, { within: 60_000, every: 200 })
}

/** All that concerns one job, and what was killed meanwhile. */
function story(facts: readonly Fact[], id: string): string {
  const own = facts.filter((fact) => 'id' in fact && fact.id === id)
  const [first, last] = [own.at(0)?.at ?? 0, own.at(-1)?.at ?? 0]
  const told = facts.filter((fact) => own.includes(fact) || (!('id' in fact) && fact.at >= first - 5000 && fact.at <= last))
  return [id, ...told.map(({ at, ...fact }) => `${at - first} ms ${JSON.stringify(fact)}`)].join('\n')
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function print({ jobs, effects, refused, readyMs, redeliveryMs }: Report): void {
  const spread = (values: readonly number[]) => `median ${Math.round(median(values))} ms, longest ${Math.round(Math.max(0, ...values))} ms`
  console.log(
    [
      `${kills} kills and pauses, ${jobs} jobs acknowledged, ${effects} effects, ${refused} late calls refused`,
      `${readyMs.length} restarts of the server: ${spread(readyMs)} until it served`,
      `${redeliveryMs.length} jobs of lost workers: ${spread(redeliveryMs)} until redelivery (lease ${leaseMs} ms)`,
    ].join('\n'),
  )
}
