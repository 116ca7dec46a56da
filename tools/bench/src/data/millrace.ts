import { Millrace } from '@millrace/client'
import type { Payload } from '../systems/client.ts'
import { startMillrace } from '../systems/millrace-server.ts'
import type { DataSystem } from './system.ts'

/** Millrace through its client. */
export async function millraceData(options: { readonly parentDir: string; readonly sources: boolean }): Promise<DataSystem> {
  const server = await startMillrace(options)
  const mr = new Millrace(server.address)
  const kv = mr.kv<Payload>('bench')
  return {
    title: 'Millrace',
    write: (stream, payload) => mr.stream<Payload>(stream).write([{ payload }]),
    writeMany: (stream, payloads) => mr.stream<Payload>(stream).write(payloads.map((payload) => ({ payload }))),
    async subscribe(stream, from, handle) {
      const stop = new AbortController()
      let subscribed = () => {}
      const ready = new Promise<void>((resolve) => {
        subscribed = resolve
      })
      // In a group of its own: it tells when it is assigned its partition.
      const messages = mr.stream<Payload>(stream).subscribe({
        group: `reader-${performance.now()}`,
        from: from === 'beginning' ? 'earliest' : 'latest',
        signal: stop.signal,
        onAssigned: () => subscribed(),
      })
      const reading = (async () => {
        for await (const { payload } of messages) handle(payload)
      })().catch((error: Error) => {
        if (error.name !== 'AbortError') throw error
      })
      await ready
      return {
        async [Symbol.asyncDispose]() {
          stop.abort()
          await reading
        },
      }
    },
    set: (key, value) => kv.set(key, value),
    get: (key) => kv.get(key),
    transact: (stream, key, payload) =>
      mr.writeTransaction({
        streams: [{ stream, messages: [{ payload }] }],
        kv: [{ store: 'bench', key, value: payload }],
        jobs: [{ queue: stream, payload }],
      }),
    async [Symbol.asyncDispose]() {
      await mr.close()
      await server.stop()
    },
  }
}
