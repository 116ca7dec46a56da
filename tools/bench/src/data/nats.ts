import { startNats } from '@millrace/dev'
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect } from '@nats-io/transport-node'
import type { Payload } from '../systems/client.ts'
import type { DataSystem } from './system.ts'

/** NATS JetStream with file storage, and its KV. It answers when the system has the write; Debian's version syncs every two minutes. */
export async function natsData(parentDir: string): Promise<DataSystem> {
  const server = await startNats(parentDir)
  const connection = await connect({ servers: server.address })
  const manager = await jetstreamManager(connection)
  const js = jetstream(connection)
  const bucket = await new Kvm(js).create('bench')
  const known = new Map<string, Promise<unknown>>()
  const there = (stream: string) => {
    const making = known.get(stream) ?? manager.streams.add({ name: stream, subjects: [stream] })
    known.set(stream, making)
    return making
  }
  const publish = (stream: string, payload: Payload) => js.publish(stream, JSON.stringify(payload), { timeout: 60_000 })
  return {
    title: 'NATS, file, not synced',
    async write(stream, payload) {
      await there(stream)
      return publish(stream, payload)
    },
    async writeMany(stream, payloads) {
      await there(stream)
      return Promise.all(payloads.map((payload) => publish(stream, payload)))
    },
    async subscribe(stream, from, handle) {
      await there(stream)
      const consumer = await js.consumers.get(stream, { deliver_policy: from === 'beginning' ? DeliverPolicy.All : DeliverPolicy.New })
      const messages = await consumer.consume({ max_messages: 1000 })
      const reading = (async () => {
        for await (const message of messages) handle(message.json<Payload>())
      })()
      return {
        async [Symbol.asyncDispose]() {
          await messages.close()
          await reading
        },
      }
    },
    set: (key, value) => bucket.put(key, JSON.stringify(value)),
    get: async (key) => (await bucket.get(key))?.json(),
    async [Symbol.asyncDispose]() {
      await connection.close()
      await server.stop()
    },
  }
}
