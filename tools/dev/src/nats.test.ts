import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { natsVersion, startNats } from './nats.ts'
import { skipWhereMissing } from './test-skip.ts'

skipWhereMissing(natsVersion)

it('starts a NATS server of its own with JetStream, and leaves nothing behind', async () => {
  const nats = await startNats()
  try {
    const [host, port] = nats.address.split(':')
    const hello = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), host, () => undefined)
      socket.once('error', reject)
      socket.once('data', (data) => {
        socket.destroy()
        resolve(data.toString())
      })
    })
    expect(hello).toMatch(/^INFO .*"jetstream":true/)
  } finally {
    await nats.stop()
  }
  expect(existsSync(nats.dir)).toBe(false)
})
