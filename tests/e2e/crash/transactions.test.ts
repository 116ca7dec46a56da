import { setTimeout as sleep } from 'node:timers/promises'
import { ConflictError } from '@millrace/client'
import { expect, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'
import { stubborn } from './settings.ts'

const long = process.env.MILLRACE_LONG === '1'
const kills = Number(process.env.MILLRACE_KILLS ?? (long ? 100 : 5))
const partitions = 3
const perKill = 60

test(`${kills} kills: consume, process, produce makes each output exactly once`, { timeout: 60_000 + kills * 8000 }, async () => {
  const random = createRandom(testSeed(20_261_122))
  await using server = await startServer({ flags: ['--log-level', 'warn'] })
  const mr = clientOf(server, { ...stubborn, timeout: '60s' })
  const input = mr.stream<number>('input')
  await input.create({ partitions })
  await mr.stream('output').create({ partitions })
  const total = kills * perKill

  const stop = new AbortController()
  let fenced = 0
  /** Reads its share, and writes what it makes of each message with the message's commit. Dies and begins anew, too. */
  const consume = async () => {
    while (!stop.signal.aborted) {
      let left = random.int(20, 80)
      try {
        for await (const message of input.subscribe({ group: 'workers', signal: stop.signal })) {
          const { payload, partition } = message
          await mr.writeTransaction({
            streams: [{ stream: 'output', messages: [{ payload: payload * 2, partition }] }],
            jobs: [{ queue: 'notices', payload }],
            kv: [
              { store: 'made', key: 'count', increment: 1 },
              { store: 'made', key: `of ${payload}`, value: payload * 2, ifAbsent: true },
            ],
            commits: [message],
          })
          if (--left === 0) break // what it was given and did not process goes to another
        }
      } catch (error) {
        if (stop.signal.aborted) return
        // The partition is another's by now, which processes the message; anything else is a fault.
        if (!(error instanceof ConflictError) || !error.message.startsWith('commits[0]')) throw error
        fenced++
      }
    }
  }
  const working = [consume(), consume(), consume()].map((each) =>
    each.then(
      () => undefined,
      (error: Error) => error,
    ),
  )

  for (let i = 0; i < kills; i++) {
    const batch = Array.from({ length: perKill }, (_, n) => ({ payload: i * perKill + n, partition: n % partitions }))
    await input.write(batch)
    await sleep(random.int(100, 600))
    await server.kill()
    await sleep(random.int(0, 200))
    await server.restart()
  }
  await until(
    'everything is processed',
    async () => {
      const { partitions: all } = await mr.stream('output').info()
      return all.reduce((sum, { latestOffset }) => sum + latestOffset + 1, 0) >= total
    },
    { within: 60_000 },
  )
  stop.abort()
  expect((await Promise.all(working)).filter((error) => error !== undefined)).toEqual([])

  for (let partition = 0; partition < partitions; partition++) {
    const found = (await mr.stream<number>('output').read({ partition, max: 10_000 })).map(({ payload }) => payload)
    const expected = Array.from({ length: total }, (_, n) => n * 2).filter((n) => ((n / 2) % perKill) % partitions === partition)
    expect(found, `outputs of partition ${partition}, in order, once`).toEqual(expected)
    expect(await input.committed('workers', partition)).toBe(found.length - 1)
  }
  expect(await mr.kv('made').get('count')).toBe(total)
  expect((await mr.queue('notices').stats()).pending).toBe(total)
  console.info(`${total} messages processed once over ${kills} kills; ${fenced} refused because another member had the partition`)
})
