import { tally } from '../payloads.ts'
import { fill } from './fill.ts'
import type { PhaseContext, PhaseResult } from './phase.ts'

/** No-op jobs of a queue filled beforehand, by one worker, until the last completion is acknowledged. */
export async function processJobs(context: PhaseContext): Promise<PhaseResult> {
  const { client, sizes, measure } = context
  await fill(client, 'warm-up', sizes.processWarmUpJobs, sizes)
  const warmUp = await drain(context, 'warm-up', sizes.processWarmUpJobs)
  await warmUp.finish()
  await fill(client, 'bench', sizes.processJobs, sizes)
  const { finish, window } = await measure(() => drain(context, 'bench', sizes.processJobs))
  return { figures: [{ name: 'process', value: sizes.processJobs / window.seconds }], window, problems: await finish() }
}

/** Works until `count` completions are acknowledged; `finish` stops the worker and tells what was wrong. */
async function drain({ client, sizes }: PhaseContext, queue: string, count: number) {
  const seen = tally(count)
  let completed = 0
  const done = Promise.withResolvers<void>()
  const worker = await client.work(queue, {
    concurrency: sizes.concurrency,
    handle: (payload) => seen.see(payload),
    completed: () => {
      if (++completed === count) done.resolve()
    },
  })
  await done.promise
  await worker.settled?.()
  const finish = async () => {
    await worker.stop()
    const counts = await client.counts(queue)
    const agrees = counts.completed === count && counts.total === count && completed === count
    const wrong = `${completed} of ${count} completions were acknowledged, ${counts.completed} of ${counts.total} jobs are completed`
    return agrees ? seen.problems() : [...seen.problems(), wrong]
  }
  return { finish }
}
