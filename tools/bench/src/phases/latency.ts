import { payloadSource } from '../payloads.ts'
import { percentile } from '../statistics.ts'
import type { Figure, PhaseContext, PhaseResult } from './phase.ts'

/** Time from submit to the result seen by the submitter: one call at a time, then a few at once. The window covers both. */
export async function latency({ client, sizes, measure }: PhaseContext): Promise<PhaseResult> {
  const next = payloadSource(sizes.payloadBytes)
  const echo = await client.echo('bench', sizes.concurrency)
  let calls = 0
  let wrong = 0
  const callTimes = async (count: number, concurrency: number) => {
    const times: number[] = []
    let left = count
    const loop = async () => {
      while (left-- > 0) {
        const payload = next()
        const start = performance.now()
        const answer = await echo.call(payload)
        times.push(performance.now() - start)
        calls++
        if (answer.i !== payload.i) wrong++
      }
    }
    await Promise.all(Array.from({ length: concurrency }, loop))
    return times
  }
  await callTimes(sizes.latencyCalls / 2, 1)
  await callTimes(sizes.latencyCalls, sizes.latencyConcurrency)
  const { one, many, window } = await measure(async () => ({
    one: await callTimes(sizes.latencyCalls, 1),
    many: await callTimes(sizes.latencyCalls * 4, sizes.latencyConcurrency),
  }))
  await echo.stop()
  const { completed } = await client.counts('bench')
  const problems = []
  if (wrong > 0) problems.push(`${wrong} calls got the answer of another`)
  if (completed !== calls) problems.push(`${calls} answers were seen, ${completed} jobs are completed`)
  return { figures: [...figures('latency', one), ...figures('latency-many', many)], window, problems }
}

function figures(name: string, times: readonly number[]): Figure[] {
  return [50, 90, 99].map((p) => ({ name: `${name}-p${p}`, value: percentile(times, p / 100) }))
}
