import { Millrace } from '@millrace/client'
import type { PhaseResult } from './phases/phase.ts'
import type { Sizes } from './sizes.ts'
import { percentile } from './statistics.ts'
import type { MillraceServer } from './systems/millrace-server.ts'

/** Pipelines of each width in one round; the median counts. */
const repeats = 5
/** Jobs of the customer that has many. */
const manyJobs = 2000
/** Jobs of one request at most. */
const batch = 5000

/**
 * What tasks that wait for each other take: pipelines of one stage, many beside each other, and one that waits for all; tasks
 * of one state; and how long a small customer's job waits behind a large one's, with and without a limit for each.
 */
export async function flow(server: MillraceServer, sizes: Sizes): Promise<PhaseResult> {
  await using mr = new Millrace(server.address)
  const worker = mr.worker({
    concurrency: sizes.concurrency,
    tasks: {
      nothing: () => null,
      count(_payload, ctx) {
        ctx.state = ((ctx.state as number | undefined) ?? 0) + 1
      },
    },
  })
  await worker.start()
  const problems: string[] = []
  const figures = []
  await pipelines(mr, 20, problems)
  for (const width of sizes.pipelineWidths) {
    const times = []
    for (let i = 0; i < repeats; i++) times.push(await pipelines(mr, width, problems))
    figures.push({ name: `pipeline-${width}`, value: percentile(times, 0.5) / (width + 2) })
  }

  const begun = performance.now()
  const tasks = Array.from({ length: sizes.stateful }, () => ({ stateKey: 'one' }))
  const { taskIds } = await mr.tasks.submitBatch({ tasks, function: 'count' })
  await mr.tasks.wait(taskIds.at(-1)!)
  figures.push({ name: 'stateful', value: (sizes.stateful * 1000) / (performance.now() - begun) })
  const state = await mr.states.get<number>('one')
  if (state?.value !== sizes.stateful) problems.push(`the state counts ${state?.value} of ${sizes.stateful} tasks`)
  await worker.stop()

  figures.push({ name: 'wait-unlimited', value: await smallCustomer(mr, 'unlimited', {}) })
  figures.push({ name: 'wait-limited', value: await smallCustomer(mr, 'limited', { concurrency: 5 }) })
  figures.push({ name: 'wait-fair', value: await smallCustomer(mr, 'fair', { fair: true, jobs: sizes.fair }) })
  figures.push({ name: 'rate-limit', value: await limitedStarts(mr, sizes.starts) })
  figures.push({ name: 'debounce', value: await triggers(mr, sizes.triggers, problems) })
  return { figures, problems }
}

/** Milliseconds from `execute` to the end. */
async function pipelines(mr: Millrace, width: number, problems: string[]): Promise<number> {
  const pipeline = mr.pipelines.create('wide')
  const first = pipeline.addStage({ name: 'first', function: 'nothing' })
  const wide = Array.from({ length: width }, (_, i) => pipeline.addStage({ name: `s${i}`, function: 'nothing', dependsOn: [first] }))
  pipeline.addStage({ name: 'last', function: 'nothing', dependsOn: wide })
  const begun = performance.now()
  const { status } = await (await pipeline.execute()).wait()
  if (status !== 'completed') problems.push(`a pipeline is ${status}`)
  return performance.now() - begun
}

/** How long one job waits behind another customer's many, of 2 ms each, with ten handlers. */
async function smallCustomer(
  mr: Millrace,
  name: string,
  { concurrency, fair, jobs = manyJobs }: { readonly concurrency?: number; readonly fair?: boolean; readonly jobs?: number },
): Promise<number> {
  const queue = mr.queue<{ small: boolean }>(name)
  const of = (key: string) => ({
    ...(concurrency !== undefined && { concurrency: { key, limit: concurrency } }),
    ...(fair && { fairKey: key }),
  })
  for (let left = jobs; left > 0; left -= batch) {
    await queue.enqueueBatch(Array.from({ length: Math.min(left, batch) }, () => ({ payload: { small: false }, ...of('large') })))
  }
  await queue.enqueue({ small: true }, of('small'))
  const begun = performance.now()
  const seen = Promise.withResolvers<number>()
  const worker = mr.worker<{ small: boolean }>({
    queue: name,
    concurrency: 10,
    async handler({ payload }) {
      if (payload.small) seen.resolve(performance.now() - begun)
      await new Promise((resolve) => setTimeout(resolve, 2))
    },
  })
  await worker.start()
  const waited = await seen.promise
  await worker.stop({ drain: 0 })
  return waited
}

/** How many jobs start in a second, of which so many may. */
async function limitedStarts(mr: Millrace, limit: number): Promise<number> {
  const queue = mr.queue<number>('rated')
  const seconds = 4
  const jobs = limit * (seconds + 1)
  const rateLimit = { key: 'one', limit, per: '1s' } as const
  for (let from = 0; from < jobs; from += batch) {
    await queue.enqueueBatch(Array.from({ length: Math.min(batch, jobs - from) }, (_, i) => ({ payload: from + i, rateLimit })))
  }
  const starts: number[] = []
  const all = Promise.withResolvers<void>()
  const worker = mr.worker<number>({
    queue: 'rated',
    concurrency: 200,
    handler: () => {
      starts.push(performance.now())
      if (starts.length === jobs) all.resolve()
    },
  })
  await worker.start()
  await all.promise
  await worker.stop({ drain: 0 })
  const took = (starts.at(-1)! - starts[0]!) / 1000
  // The first ones start at once.
  return (jobs - limit) / took
}

/** Triggers of one job in a second, each acknowledged. */
async function triggers(mr: Millrace, count: number, problems: string[]): Promise<number> {
  const queue = mr.queue<number>('debounced')
  const begun = performance.now()
  const debounce = { key: 'one', delay: '1h' } as const
  const results = await Promise.all(Array.from({ length: count }, (_, n) => queue.enqueue(n, { debounce })))
  const took = performance.now() - begun
  const ids = new Set(results.map(({ jobId }) => jobId))
  if (ids.size !== 1) problems.push(`${count} triggers made ${ids.size} jobs`)
  const { payload } = await queue.get(results[0]!.jobId)
  if (payload !== count - 1) problems.push(`the job has the payload of trigger ${payload} of ${count}`)
  return (count * 1000) / took
}
