import { setTimeout as sleep } from 'node:timers/promises'
import { Millrace } from '@millrace/client'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../harness/until.ts'
import { type ClusterNode, needPostgres, startCluster } from './nodes.ts'

needPostgres()

test('a replay is led at one server and read at two, which share its partitions; who comes back gets the share of one that died', {
  timeout: 120_000,
}, async () => {
  await using cluster = await startCluster({ skews: [0, 0] })
  const clientOf = ({ server }: ClusterNode) => {
    const mr = new Millrace({ endpoint: server.endpoint, apiKey: cluster.key, namespace: 'replays' })
    onTestFinished(() => mr.close())
    return mr
  }
  const [here, there] = cluster.nodes.map((node) => clientOf(node).stream<number>('orders'))
  const [partitions, count] = [2, 40]
  await here!.create({ partitions })
  await here!.write(Array.from({ length: count }, (_, i) => ({ payload: i, partition: i % partitions })))
  await here!.replay.create({ group: 'again', to: 15 })

  const stop = new AbortController()
  const seen: { readonly by: string; readonly payload: number }[] = []
  const shares = new Map<string, readonly number[]>()
  const read = async (by: string, stream: NonNullable<typeof here>) => {
    const options = { signal: stop.signal, onAssigned: (assigned: readonly number[]) => shares.set(by, assigned) }
    // A subscription ends with its share of the range; that of a server that died is given away ten seconds later.
    for (; !stop.signal.aborted; await sleep(500)) {
      for await (const message of stream.replay.subscribe('again', options)) {
        seen.push({ by, payload: message.payload })
        await message.commit()
        if (seen.length === 10) await there!.replay.pause('again')
      }
    }
  }
  const readers = [read('here', here!), read('there', there!)].map((reading) => reading.catch((error: Error) => error.name))
  await until('each has a partition', () => shares.get('here')?.length === 1 && shares.get('there')?.length === 1)
  expect(seen).toEqual([])

  // Started at one, heard at both.
  await here!.replay.start('again')
  await until('it is paused', async () => (await here!.replay.get('again')).state === 'paused')
  await until('both have read', () => new Set(seen.map(({ by }) => by)).size === 2)
  await cluster.nodes[0]!.server.kill()
  await there!.replay.resume('again')
  await until('all is committed', async () => (await there!.replay.get('again')).processed === 30, { within: 60_000 })
  stop.abort()
  await Promise.all(readers)

  // Offsets 0 to 14 of both partitions are the numbers up to 29. Those on their way when the server died may have come twice.
  const numbers = [...new Set(seen.map(({ payload }) => payload))].sort((a, b) => a - b)
  expect(numbers).toEqual(Array.from({ length: 30 }, (_, i) => i))
})
