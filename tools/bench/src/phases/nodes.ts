import { tally } from '../payloads.ts'
import type { Sizes } from '../sizes.ts'
import type { SystemClient } from '../systems/client.ts'
import type { Measure } from '../window.ts'
import { fill } from './fill.ts'
import type { PhaseResult } from './phase.ts'

/** Several servers over one database, each with a client: all of them fill one queue, and then a worker on each empties it. */
export async function nodes(clients: readonly SystemClient[], sizes: Sizes, measure: Measure): Promise<PhaseResult> {
  await through(clients, 'warm-up', sizes.processWarmUpJobs, sizes, (work) => work())
  let seconds = 0
  const problems = await through(clients, 'bench', sizes.processJobs, sizes, async (work) => {
    seconds = (await measure(async () => ({ done: await work() }))).window.seconds
  })
  return { figures: [{ name: `nodes-${clients.length}`, value: sizes.processJobs / seconds }], problems }
}

async function through(
  clients: readonly SystemClient[],
  queue: string,
  count: number,
  sizes: Sizes,
  timed: (work: () => Promise<void>) => Promise<unknown>,
): Promise<string[]> {
  await fill(clients[0]!, queue, count, sizes)
  const seen = tally(count)
  const done = Promise.withResolvers<void>()
  let completed = 0
  const start = (client: SystemClient) =>
    client.work(queue, {
      concurrency: sizes.concurrency,
      handle: (payload) => seen.see(payload),
      completed: () => {
        if (++completed === count) done.resolve()
      },
    })
  let stop = async () => {}
  await timed(async () => {
    const workers = await Promise.all(clients.map(start))
    stop = async () => {
      await Promise.all(workers.map((worker) => worker.stop()))
    }
    await done.promise
  })
  await stop()
  return seen.problems()
}
