import { once } from 'node:events'
import { connect } from 'node:net'
import { it, onTestFinished } from 'vitest'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { startTestServer } from './harness.ts'

it.each([
  ['gRPC', '', 'grpc'],
  ['HTTP', '', 'http'],
  ['HTTP', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http'],
] as const)('a connection to %s that brings no call (%j) does not hold a server that stops', async (_, said, where) => {
  // Its time stands still: the grace never ends.
  const { server } = await startTestServer({}, new ManualClock())
  const [host, port] = server[where]!.split(':')
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  if (said) {
    socket.write(said)
    await once(socket, 'data')
  }
  await fetch(`http://${server.http}/healthz`)
  await server.stop()
})
