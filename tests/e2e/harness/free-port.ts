import { once } from 'node:events'
import { createServer } from 'node:net'

const tries = 100

/**
 * A port nobody listens on, below the range that systems hand out for outgoing connections: a server that comes back to
 * it later does not find it taken by somebody's client.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < tries; i++) {
    const port = 10_000 + Math.floor(Math.random() * 22_000)
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    } catch {
      continue // taken
    }
    server.close()
    await once(server, 'close')
    return port
  }
  throw new Error(`No free port found in ${tries} tries.`)
}
