import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFailed, test } from 'vitest'
import { type Actor, createCast } from '../crash/cast.ts'
import { check } from '../crash/checker.ts'
import { readFinals } from '../crash/finals.ts'
import { openJournal, readJournals } from '../crash/journal.ts'
import type { ProducerSettings, WorkerMode, WorkerSettings } from '../crash/settings.ts'
import { drained, pause, printReport, setRetryPolicy, story } from '../crash/stage.ts'
import { createRandom, type Random, testSeed } from '../harness/random.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { type Fault, nodeFaults, postgresFaults, strike } from './faults.ts'
import { needPostgres, startCluster } from './nodes.ts'

needPostgres()

const long = process.env.MILLRACE_LONG === '1'
/** How long faults go on. */
const troubleMs = Number(process.env.MILLRACE_TROUBLE_MS ?? (long ? 300_000 : 30_000))
const leaseMs = 2000
const namespace = 'cluster'
const modes: readonly WorkerMode[] = ['worker', 'worker', 'deliveries', 'receive', 'raw', 'raw']
const producers = 2
/** Submissions a second, all producers together. */
const rate = 60
/** The clock of the last server is five seconds ahead. */
const skews = [0, 0, 5000]

test(`three servers over one Postgres, ${troubleMs / 1000} s of faults: nothing acknowledged is lost, nothing is done twice`, {
  timeout: troubleMs + 240_000,
}, async () => {
  const random = createRandom(testSeed(20_261_121))
  const folder = temporaryFolder()
  const journal = openJournal(folder, 'parent')
  await using cluster = await startCluster({ skews })
  const { endpoint, key, nodes } = cluster
  const direct = { endpoint: nodes[0]!.server.endpoint, key, namespace }
  await setRetryPolicy(direct)
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

  onTestFailed(() => {
    for (const { name, server } of nodes) for (const line of faultsIn(server.log)) console.log(`${name}: ${line}`)
  })
  const struck = new Map<string, number>()
  const failures: unknown[] = []
  const underWay = new Map<string, Promise<void>>()
  /** Lets a fault strike, unless its subject has not recovered from the last one. */
  const begin = (subject: string, name: string, work: () => Promise<void>) => {
    if (underWay.has(subject)) return
    struck.set(name, (struck.get(name) ?? 0) + 1)
    const recorded = work().catch((error: unknown) => failures.push(error))
    underWay.set(
      subject,
      recorded.then(() => void underWay.delete(subject)),
    )
  }
  const loseWorker = async (slot: number, lose: (worker: Actor) => Promise<void>) => {
    const worker = workers[slot]!
    workers[slot] = await enterWorker(modes[slot]!) // first, so that somebody is always there
    journal.write({ type: 'worker-lost', worker: worker.name })
    await lose(worker)
  }

  const end = Date.now() + troubleMs
  while (Date.now() < end && failures.length === 0 && cast.failures.length === 0) {
    await sleep(random.int(100, 900))
    const dice = random.next()
    if (dice < 0.3) {
      const slot = random.int(0, workers.length - 1)
      const kill = random.next() < 0.7
      begin(`worker ${slot}`, `worker ${kill ? 'killed' : 'paused'}`, () =>
        loseWorker(slot, kill ? cast.kill : (worker) => pause(cast, worker, leaseMs)),
      )
    } else if (dice < 0.36) {
      const fault = pick(postgresFaults, random)
      begin('Postgres', `Postgres ${fault.name}`, () => strike(fault, 'Postgres', cluster, nodes[0]!, random, journal))
    } else {
      const node = random.pick(nodes)
      const fault = pick(nodeFaults, random)
      begin(node.name, `server ${fault.name}`, () => strike(fault, node.name, cluster, node, random, journal))
    }
  }

  await Promise.all(underWay.values())
  expect([...cast.failures, ...failures]).toEqual([])
  await Promise.all(submitters.map((submitter) => submitter.stop()))
  await drained(direct)
  await Promise.all(workers.map((worker) => worker.stop()))
  journal.close()
  expect(cast.failures).toEqual([])

  const facts = readJournals(folder)
  const ids = new Set(facts.flatMap((fact) => ('id' in fact ? [fact.id] : [])))
  const report = check(facts, await readFinals([...ids], direct), { leaseMs, reconnectMs: 5000 })
  console.log([...struck].map(([name, times]) => `${times} × ${name}`).join(', '))
  printReport(report, leaseMs)
  for (const { id } of report.violations.slice(0, 5)) console.log(story(facts, id))
  expect(report.violations).toEqual([])
  // There was work, however slow the machine.
  expect(report.jobs).toBeGreaterThan(troubleMs / 500)
})

/** Errors in a server's log that nobody's breaking something explains. */
function faultsIn(log: string): string[] {
  return log.split('\n').filter((line) => line.includes('"level":50') && !line.includes('"type":"MillraceError"'))
}

function pick(faults: readonly Fault[], random: Random): Fault {
  return random.pick(faults.flatMap((fault) => Array<Fault>(fault.weight).fill(fault)))
}
