import { once } from 'node:events'
import { connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { startTestServer } from './harness.ts'

it('a connection may have a megabyte under way on each call, so that uploads from afar are fast', async () => {
  const { server } = await startTestServer()
  const session = connect(`http://${server.grpc}`)
  onTestFinished(() => session.destroy())
  const call = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  const settled = (async () => {
    while (session.remoteSettings?.initialWindowSize !== 1024 ** 2) await once(session, 'remoteSettings')
  })()
  call.end(Buffer.from([0, 0, 0, 0, 0]))
  call.resume()
  await Promise.all([settled, once(call, 'close')])
  await expect.poll(() => session.state.remoteWindowSize).toBeGreaterThan(3 * 1024 ** 2)
})

it('other servers of the same process stay as they are', async () => {
  await startTestServer()
  const other = createServer((_, response) => void response.end('text'))
  onTestFinished(() => void other.close())
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const session = connect(`http://127.0.0.1:${(other.address() as AddressInfo).port}`)
  onTestFinished(() => session.destroy())
  const call = session.request({ ':path': '/' }).resume()
  await once(call, 'close')
  expect(session.remoteSettings.initialWindowSize).toBe(65_535)
})
