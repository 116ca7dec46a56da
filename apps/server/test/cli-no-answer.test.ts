import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { run } from './cli-runner.ts'

it('a command says that nobody answers', async () => {
  const { code, stderr } = await run(['health', '--endpoint', '127.0.0.1:1', '--key', 'k'])
  expect(code).toBe(1)
  expect(stderr).toBe('error: There is no answer from 127.0.0.1:1 (connect ECONNREFUSED 127.0.0.1:1). Is the server running?\n')
})

it('a command says that an endpoint is that of HTTP, or has no TLS', async () => {
  const web = createServer((_, response) => response.end()).listen(0, '127.0.0.1')
  onTestFinished(() => void web.close())
  await once(web, 'listening')
  const { port } = web.address() as AddressInfo
  const asked = async (endpoint: string) => (await run(['health', '--endpoint', endpoint, '--key', 'k'])).stderr
  expect(await asked(`127.0.0.1:${port}`)).toMatch(/\(Protocol error\)\. Is the server running\? The endpoint is the address of gRPC, not /)
  expect(await asked(`https://localhost:${port}`)).toBe(
    `error: There is no answer from https://localhost:${port} (TLS: wrong version number). Is the server running? Without TLS, leave out https://.\n`,
  )
})

it('a command asks the port of gRPC when none is given, as clients do', async () => {
  expect((await run(['health', '--endpoint', 'nobody.invalid', '--key', 'k'])).stderr).toContain(
    'There is no answer from nobody.invalid:50051 (',
  )
})

it('a command asks one of several servers, and says so', async () => {
  const { code, stderr } = await run(['health'], { MILLRACE_ENDPOINT: 'a:50051,b:50051' })
  expect(code).toBe(2)
  expect(stderr).toContain("A command asks one server, and 'a:50051,b:50051' names several: give one with --endpoint HOST:PORT")
})
