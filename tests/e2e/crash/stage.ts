import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../harness/until.ts'
import { type RawOptions, rawClient } from '../raw/raw.ts'
import type { Actor, Cast } from './cast.ts'
import type { Report } from './checker.ts'
import type { Fact } from './journal.ts'
import { queueName } from './settings.ts'

/** Gives the test's queues many attempts that follow soon. */
export async function setRetryPolicy(server: RawOptions): Promise<void> {
  using queues = rawClient('QueueService', server)
  const retryPolicy = { maxAttempts: 100, initialBackoffMs: 50, strategy: 'BACKOFF_STRATEGY_FIXED' }
  for (const queue of [queueName, 'default']) await queues.call('UpdateQueue', { queue, retryPolicy })
}

/** Stops a worker past its leases, lets it go on with its late calls, and ends it. */
export async function pause(cast: Cast, worker: Actor, leaseMs: number): Promise<void> {
  worker.child.kill('SIGSTOP')
  await sleep(leaseMs + 1500)
  worker.child.kill('SIGCONT')
  await sleep(1500)
  await cast.kill(worker)
}

/** Waits until no job waits or runs. */
export async function drained(server: RawOptions): Promise<void> {
  using queues = rawClient('QueueService', server)
  const left = async (queue: string) => {
    const stats = await queues.call<Record<string, string>>('GetQueueStats', { queue })
    return Number(stats.pending) + Number(stats.blocked) + Number(stats.scheduled) + Number(stats.processing)
  }
  await until('every job ends', async () => (await left(queueName)) + (await left('default')) === 0, { within: 60_000, every: 200 })
}

/** All that concerns one job, and what was broken meanwhile. */
export function story(facts: readonly Fact[], id: string): string {
  const own = facts.filter((fact) => 'id' in fact && fact.id === id)
  const [first, last] = [own.at(0)?.at ?? 0, own.at(-1)?.at ?? 0]
  const told = facts.filter((fact) => own.includes(fact) || (!('id' in fact) && fact.at >= first - 5000 && fact.at <= last))
  return [id, ...told.map(({ at, ...fact }) => `${at - first} ms ${JSON.stringify(fact)}`)].join('\n')
}

/** The middle one. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** Middle and longest of times in milliseconds, for people. */
export function spread(values: readonly number[]): string {
  return `median ${Math.round(median(values))} ms, longest ${Math.round(Math.max(0, ...values))} ms`
}

/** Says what a run took and showed. */
export function printReport({ jobs, effects, refused, readyMs, redelivered, redeliveryMs }: Report, leaseMs: number): void {
  console.log(`${jobs} jobs acknowledged, ${effects} effects, ${refused} late calls refused`)
  if (readyMs.length > 0) console.log(`${readyMs.length} restarts of the server: ${spread(readyMs)} until it served`)
  console.log(`${redelivered} jobs of lost workers came back, ${redeliveryMs.length} of them with no outage meanwhile`)
  if (redeliveryMs.length > 0) console.log(`Those without one: ${spread(redeliveryMs)} until redelivery (lease ${leaseMs} ms)`)
}
