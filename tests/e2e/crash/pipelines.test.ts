import { setTimeout as sleep } from 'node:timers/promises'
import type { Millrace, PipelineRun } from '@millrace/client'
import { expect, test } from 'vitest'
import { clockOf } from '../cluster/nodes.ts'
import { clientOf } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'
import { startServer } from '../harness/server.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'
import { createCast } from './cast.ts'
import { readJournals } from './journal.ts'
import { startReceiver } from './receiver.ts'
import { stubborn } from './settings.ts'

const long = process.env.MILLRACE_LONG === '1'
const kills = Number(process.env.MILLRACE_KILLS ?? (long ? 100 : 6))
const leaseMs = 2000
const namespace = 'crash'
const producers = 4
const items = 10
const everyMs = 1000
/** Later than any attempt of a delivery is due that two failures came before. */
const skewMs = 3_600_000

/** A pipeline with a list that is fanned out, a stage that fails once, and one that fails for good when `bad`. */
function begin(mr: Millrace, bad: boolean): Promise<PipelineRun> {
  const pipeline = mr.pipelines.create('crash')
  const retry = { maxAttempts: 100, initialBackoff: 50, strategy: 'fixed' } as const
  const list = pipeline.addStage({ name: 'list', function: 'list', payload: items, retry })
  const doubled = pipeline.addStage({ name: 'doubled', function: 'double', forEach: list, retry })
  const flaky = pipeline.addStage({ name: 'flaky', function: 'flaky', payload: 1000, retry })
  pipeline.addStage({ name: 'sum', function: 'sum', dependsOn: [doubled, flaky], retry })
  if (bad) pipeline.addStage({ name: 'after', dependsOn: [pipeline.addStage({ name: 'bad', function: 'fail', retry })] })
  return pipeline.execute({ onFailure: 'continue' })
}

test(`${kills} kills: pipelines end as they must, each tick of a schedule comes once, each end is told of`, {
  timeout: 120_000 + kills * 8000,
}, async () => {
  const random = createRandom(testSeed(20_261_122))
  const folder = temporaryFolder()
  const flags = ['--log-level', 'warn', '--webhook-allow-private']
  await using server = await startServer({ flags })
  const mr = clientOf(server, { ...stubborn, namespace })
  const cast = createCast()
  const receiver = await startReceiver()
  await mr.webhooks.create('all', { url: receiver.url })
  await mr.schedules.create({
    name: 'tick',
    every: everyMs,
    function: 'tick',
    overlap: 'allow',
    catchUp: { max: 1000 },
    retry: { maxAttempts: 100 },
  })
  let entered = 0
  const enter = () => {
    const { endpoint, key } = server
    return cast.enter('stage-worker', { endpoint, key, namespace, folder, leaseMs, name: `worker-${++entered}` })
  }
  const workers = [await enter(), await enter()]

  const runs: { readonly run: PipelineRun; readonly bad: boolean }[] = []
  let stopping = false
  const produce = async () => {
    while (!stopping) {
      const bad = random.next() < 0.3
      runs.push({ run: await begin(mr, bad), bad })
      await sleep(100)
    }
  }
  const producing = Array.from({ length: producers }, produce)
  for (let i = 0; i < kills; i++) {
    await sleep(random.int(100, 900))
    if (random.next() < 0.6) {
      await server.kill()
      await sleep(random.int(0, 300))
      await server.restart()
    } else {
      const slot = random.int(0, workers.length - 1)
      const lost = workers[slot]!
      workers[slot] = await enter() // first, so that somebody is always there
      await cast.kill(lost)
    }
  }
  stopping = true
  await Promise.all(producing)
  await mr.schedules.pause('tick')

  // Every pipeline ends as it must, with the results of its stages, and its events say so.
  const ended = new Map<string, string>()
  for (const { run, bad } of runs) {
    const { status, stages } = await run.wait()
    expect(status).toBe(bad ? 'failed' : 'completed')
    expect(stages.map(({ status }) => status)).toEqual([...Array<string>(4).fill('completed'), ...(bad ? ['failed', 'cancelled'] : [])])
    expect(await run.result('sum')).toBe(1000 + items * (items - 1))
    const events = await Array.fromAsync(run.monitor())
    expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => i + 1))
    for (const stage of ['list', 'doubled', 'flaky', 'sum']) {
      expect(events.filter((event) => event.stage === stage && event.status === 'completed')).toHaveLength(1)
    }
    expect(events.filter(({ isTerminal }) => isTerminal)).toEqual([events.at(-1)])
    ended.set(run.pipelineId, `pipeline.${status}`)
  }
  expect(runs.length).toBeGreaterThan(kills)
  expect((await Array.fromAsync(mr.pipelines.list())).map(({ pipelineId }) => pipelineId).sort()).toEqual([...ended.keys()].sort())

  // Each tick came once, none was left out.
  const ticks = await Array.fromAsync(mr.tasks.list({ function: 'tick' }))
  const history = await mr.schedules.history('tick')
  const times = history.map(({ at }) => at.getTime()).reverse()
  expect(times).toEqual(times.map((_, i) => times[0]! + i * everyMs))
  expect(history.every(({ outcome, manual }) => outcome === 'submitted' && !manual)).toBe(true)
  const { createdAt, lastAt } = await mr.schedules.get('tick')
  expect(ticks).toHaveLength(Math.round((lastAt!.getTime() - createdAt.getTime()) / everyMs))
  const submitted = new Set(ticks.map(({ taskId }) => taskId))
  expect(new Set(history.map(({ jobId }) => jobId)).size).toBe(history.length)
  expect(history.filter(({ jobId }) => !submitted.has(jobId!))).toEqual([])
  await mr.tasks.waitBatch([...submitted])

  await Promise.all(workers.map((worker) => worker.stop()))
  expect(cast.failures).toEqual([])
  const facts = readJournals(folder)
  const completions = new Map<string, number>()
  for (const fact of facts) {
    if (fact.type !== 'acknowledged') continue
    expect(completions.has(fact.id), `${fact.id} was completed twice`).toBe(false)
    completions.set(fact.id, fact.attempt)
  }
  // What was acknowledged is never done again.
  const effects = facts.filter((fact) => fact.type === 'effect')
  expect(effects.filter(({ id, attempt }) => attempt > (completions.get(id) ?? Number.POSITIVE_INFINITY))).toEqual([])

  // Each end is told of, also by servers that died meanwhile: what they had in hand is due again, by a clock that is moved on.
  for await (const { taskId, status } of mr.tasks.list()) ended.set(taskId, `task.${status}`)
  await server.kill()
  receiver.refuse(false)
  await using later = await startServer({ data: server.data, flags, env: clockOf(skewMs) })
  const missing = () => [...ended].filter(([id, type]) => !receiver.acknowledged.has(`${type} ${id}`))
  await until('each end is told of', () => missing().length === 0, { within: 30_000 })
  const told = [...receiver.acknowledged.values()].reduce((sum, count) => sum + count, 0)
  expect([...receiver.acknowledged.keys()].sort()).toEqual([...ended].map(([id, type]) => `${type} ${id}`).sort())
  expect(receiver.refused.size).toBeGreaterThan(0)
  console.log(`${runs.length} pipelines, ${effects.length} attempts of ${completions.size} acknowledged tasks, ${ticks.length} ticks`)
  console.log(`${ended.size} ends were told of ${told} times, ${receiver.refused.size} of them after a refusal (${later.readyMs | 0} ms)`)
})
