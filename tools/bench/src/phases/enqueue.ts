import { payloadSource } from '../payloads.ts'
import type { PhaseContext, PhaseResult } from './phase.ts'

/** Single calls, many at once. */
export function enqueueSingle({ client, sizes, measure }: PhaseContext): Promise<PhaseResult> {
  const next = payloadSource(sizes.payloadBytes)
  const call = () => client.enqueue('bench', next())
  return enqueueFor({ client, sizes, measure }, { name: 'enqueue-single', loops: sizes.singles, jobsPerCall: 1, call })
}

/** Batches, a few under way at once. */
export function enqueueBatch({ client, sizes, measure }: PhaseContext): Promise<PhaseResult> {
  const next = payloadSource(sizes.payloadBytes)
  const call = () => client.enqueueBatch('bench', Array.from({ length: sizes.batch }, next))
  return enqueueFor({ client, sizes, measure }, { name: 'enqueue-batch', loops: sizes.batchesInFlight, jobsPerCall: sizes.batch, call })
}

interface Load {
  readonly name: string
  readonly loops: number
  readonly jobsPerCall: number
  call(): Promise<unknown>
}

async function enqueueFor({ client, sizes, measure }: PhaseContext, load: Load): Promise<PhaseResult> {
  let acknowledged = 0
  const keepBusy = async (milliseconds: number) => {
    const end = performance.now() + milliseconds
    const before = acknowledged
    const loop = async () => {
      while (performance.now() < end) {
        await load.call()
        acknowledged += load.jobsPerCall
      }
    }
    await Promise.all(Array.from({ length: load.loops }, loop))
    return { jobs: acknowledged - before }
  }
  await keepBusy(sizes.warmUp)
  const { jobs, window } = await measure(() => keepBusy(sizes.window))
  const { total } = await client.counts('bench')
  return {
    figures: [{ name: load.name, value: jobs / window.seconds }],
    window,
    problems: total === acknowledged ? [] : [`${acknowledged} jobs were acknowledged, ${total} are stored`],
  }
}
