import { startRedis } from '@millrace/dev'
import { Redis } from 'ioredis'
import type { Payload } from '../systems/client.ts'
import type { DataSystem } from './system.ts'

type Entries = readonly (readonly [stream: string, entries: readonly (readonly [id: string, fields: readonly string[]])[]])[]

/** Redis Streams and keys, each write synced before it is answered; concurrent calls share trips, as ioredis offers it. */
export async function redisData(parentDir: string): Promise<DataSystem> {
  const server = await startRedis({ appendfsync: 'always', parentDir })
  const redis = new Redis(server.url, { enableAutoPipelining: true })
  const fields = (payload: Payload) => ['payload', JSON.stringify(payload)] as const
  return {
    title: 'Redis, AOF always',
    write: (stream, payload) => redis.xadd(stream, '*', ...fields(payload)),
    async writeMany(stream, payloads) {
      const pipeline = redis.pipeline()
      for (const payload of payloads) pipeline.xadd(stream, '*', ...fields(payload))
      await pipeline.exec()
    },
    async subscribe(stream, from, handle) {
      const reader = new Redis(server.url)
      const [last] = from === 'now' ? await reader.xrevrange(stream, '+', '-', 'COUNT', 1) : []
      let position = last?.[0] ?? '0'
      let stopped = false
      const reading = (async () => {
        while (!stopped) {
          const found = (await reader.xread('COUNT', 1000, 'BLOCK', 0, 'STREAMS', stream, position)) as Entries | null
          for (const [, entries] of found ?? []) {
            for (const [id, [, text]] of entries) {
              position = id
              handle(JSON.parse(text!) as Payload)
            }
          }
        }
      })().catch((error: unknown) => {
        if (!stopped) throw error
      })
      return {
        async [Symbol.asyncDispose]() {
          stopped = true
          reader.disconnect()
          await reading
        },
      }
    },
    set: (key, value) => redis.set(key, JSON.stringify(value)),
    async transact(stream, key, payload) {
      const text = JSON.stringify(payload)
      const outcomes = await redis
        .multi()
        .xadd(stream, '*', ...fields(payload))
        .set(key, text)
        .rpush(`${stream}-jobs`, text)
        .exec()
      const failed = outcomes?.find(([error]) => error)
      if (!outcomes || failed) throw failed?.[0] ?? new Error('Redis carried nothing out')
    },
    get: async (key) => JSON.parse((await redis.get(key)) ?? 'null'),
    async [Symbol.asyncDispose]() {
      redis.disconnect()
      await server.stop()
    },
  }
}
