import { Millrace } from '@millrace/client'
import { expect, onTestFinished, test } from 'vitest'
import { type ClusterNode, needPostgres, startCluster } from './nodes.ts'

needPostgres()

const rounds = 40

test('who waits at one server is told of what is written at another: messages, keys, jobs, and all of them by a transaction', {
  timeout: 120_000,
}, async () => {
  await using cluster = await startCluster({ skews: [0, 0] })
  const clientOf = ({ server }: ClusterNode) => {
    const mr = new Millrace({ endpoint: server.endpoint, apiKey: cluster.key, namespace: 'wakeups' })
    onTestFinished(() => mr.close())
    return mr
  }
  const [here, there] = cluster.nodes.map(clientOf) as [Millrace, Millrace]
  await here.stream('events').create()

  const arrivals = new Map<string, (at: number) => void>()
  const arrived = (what: string) => {
    const tell = arrivals.get(what)
    arrivals.delete(what)
    tell?.(performance.now())
  }
  const stop = new AbortController()
  const reading = [
    (async () => {
      for await (const { payload } of here.stream('events').subscribe({ from: 'earliest', signal: stop.signal }))
        arrived(`message ${payload}`)
    })(),
    (async () => {
      for await (const message of here.stream('events').subscribe({ group: 'g', from: 'earliest', signal: stop.signal })) {
        arrived(`shared ${message.payload}`)
      }
    })(),
    (async () => {
      for await (const { key } of here.kv('store').watch({ after: 0, signal: stop.signal })) arrived(`key ${key}`)
    })(),
    (async () => {
      for await (const job of here.queue('jobs').deliveries({ concurrency: 10, signal: stop.signal })) {
        arrived(`job ${job.payload}`)
        await job.complete()
      }
    })(),
  ].map((each) => each.catch((error: Error) => error.name))

  /** How long after a write began each of these has come, in milliseconds. */
  const delays = async (names: readonly string[], write: () => Promise<unknown>): Promise<number[]> => {
    const start = performance.now()
    const all = names.map((name) => new Promise<number>((resolve) => arrivals.set(name, (at) => resolve(at - start))))
    await write()
    return Promise.all(all)
  }
  const found: Record<string, number[]> = { write: [], set: [], transaction: [] }
  for (let n = 0; n < rounds; n++) {
    const messages = [{ payload: n }]
    found.write!.push(...(await delays([`message ${n}`, `shared ${n}`], () => there.stream('events').write(messages))))
    found.set!.push(...(await delays([`key ${n}`], () => there.kv('store').set(String(n), n))))
    found.transaction!.push(
      ...(await delays([`message t${n}`, `shared t${n}`, `key t${n}`, `job ${n}`], () =>
        there.writeTransaction({
          streams: [{ stream: 'events', messages: [{ payload: `t${n}` }] }],
          kv: [{ store: 'store', key: `t${n}`, value: n }],
          jobs: [{ queue: 'jobs', payload: n }],
        }),
      )),
    )
  }
  stop.abort()
  expect(await Promise.all(reading)).toEqual(['AbortError', 'AbortError', 'AbortError', 'AbortError'])
  for (const [what, times] of Object.entries(found)) {
    times.sort((a, b) => a - b)
    const at = (share: number) => times[Math.floor(times.length * share)]!.toFixed(1)
    console.info(`${what} at one server until the other's reader has it: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms`)
  }
})
