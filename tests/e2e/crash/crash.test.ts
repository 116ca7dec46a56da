import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createRandom, testSeed } from '../harness/random.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { createCast } from './cast.ts'
import { check } from './checker.ts'
import { readFinals } from './finals.ts'
import { type Journal, openJournal, readJournals } from './journal.ts'
import type { ProducerSettings, WorkerMode, WorkerSettings } from './settings.ts'
import { drained, median, pause, printReport, setRetryPolicy, story } from './stage.ts'
import { readStates, statesOf } from './states.ts'

const long = process.env.MILLRACE_LONG === '1'
const kills = Number(process.env.MILLRACE_KILLS ?? (long ? 300 : 15))
const leaseMs = 2000
const namespace = 'crash'
/** Plain jobs and tasks each have several takers, so that one always lives. */
const modes: readonly WorkerMode[] = ['worker', 'worker', 'deliveries', 'receive', 'raw']
const producers = 2
/** Submissions a second, all producers together. */
const rate = 80

test(`${kills} kills: nothing acknowledged is lost, nothing is done twice`, { timeout: 180_000 + kills * 8000 }, async () => {
  const random = createRandom(testSeed(20_261_120))
  const folder = temporaryFolder()
  const journal = openJournal(folder, 'parent')
  await using server = await startServer({ flags: ['--log-level', 'warn'] })
  const { endpoint, key, readyMs: freshMs } = server
  const cast = createCast()
  const settings = { endpoint, key, namespace, folder, leaseMs }
  await setRetryPolicy(settings)

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
      else paused.push(pause(cast, worker, leaseMs))
    }
  }

  await Promise.all(paused)
  await Promise.all(submitters.map((submitter) => submitter.stop()))
  await drained(settings)
  await Promise.all(workers.map((worker) => worker.stop()))
  journal.close()
  expect(cast.failures).toEqual([])

  const facts = readJournals(folder)
  const ids = new Set(facts.flatMap((fact) => ('id' in fact ? [fact.id] : [])))
  const finals = await readFinals([...ids], { endpoint, key, namespace })
  const report = check(facts, finals, { leaseMs })
  console.log(`${kills} kills and pauses`)
  printReport(report, leaseMs)
  for (const { id } of report.violations) console.log(story(facts, id))
  expect(report.violations).toEqual([])
  expect(await readStates({ endpoint, key, namespace })).toEqual(statesOf(facts, finals))
  // The run was worth its name: there was work, some of it was in the hands of those that were lost, some came too late.
  expect(report.jobs).toBeGreaterThan(kills * 20)
  expect(report.readyMs.length).toBeGreaterThan(kills / 4)
  expect(report.redelivered).toBeGreaterThan(0)
  // What was left does not keep a server from its start: it takes what a fresh one takes, with others at work beside it.
  expect(median(report.readyMs)).toBeLessThan(Math.max(2000, 5 * freshMs))
})

async function killServer(server: ServerProcess, journal: Journal, awayMs: number): Promise<void> {
  journal.write({ type: 'server-down' })
  await server.kill()
  await sleep(awayMs)
  await server.restart()
  journal.write({ type: 'server-up', readyMs: server.readyMs })
}
