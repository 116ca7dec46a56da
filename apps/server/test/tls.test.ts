import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { fileURLToPath } from 'node:url'
import { grpcDefinition } from '@millrace/protocol/grpc'
import { ChannelCredentials, createChannel, createClient } from 'nice-grpc'
import { HealthDefinition } from 'nice-grpc-server-health'
import { expect, it, onTestFinished } from 'vitest'
import { startTestServer } from './harness.ts'

const path = (name: string) => fileURLToPath(new URL(`certs/${name}`, import.meta.url))
const file = (name: string) => readFileSync(path(name))
const tls = { tlsCert: path('server.pem'), tlsKey: path('server.key') }

function check(grpc: string, channelCredentials: ChannelCredentials) {
  const channel = createChannel(grpc, channelCredentials, { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_reconnect_backoff_ms': 100 })
  onTestFinished(() => channel.close())
  return createClient(grpcDefinition(HealthDefinition), channel).check({ service: '' })
}

it('serves TLS, and nothing to those who speak none', async () => {
  const { server } = await startTestServer(tls)
  expect(await check(server.grpc, ChannelCredentials.createSsl(file('ca.pem')))).toEqual({ status: 1 })
  await expect(check(server.grpc, ChannelCredentials.createInsecure())).rejects.toMatchObject({ code: 14 })
})

it('serves mutual TLS, and nothing to those without a certificate', async () => {
  const { server } = await startTestServer({ ...tls, tlsClientCa: path('ca.pem') })
  const known = ChannelCredentials.createSsl(file('ca.pem'), file('client.key'), file('client.pem'))
  expect(await check(server.grpc, known)).toEqual({ status: 1 })
  await expect(check(server.grpc, ChannelCredentials.createSsl(file('ca.pem')))).rejects.toMatchObject({ code: 14 })
})

it('serves HTTPS with the same files', async () => {
  const { server } = await startTestServer({ ...tls, tlsClientCa: path('ca.pem') })
  const get = (options: object) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(`https://${server.http}/healthz`, { ...options, ca: file('ca.pem') }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
  expect(await get({ cert: file('client.pem'), key: file('client.key') })).toBe(200)
  await expect(get({})).rejects.toThrow()
})
