import { rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startServer } from '../src/serve.ts'
import { sql, useTestServer } from '../src/store/postgres/test-database.ts'
import { temporaryFolder } from './harness.ts'

const databases = await useTestServer()

it('a server whose files of attestation are wrong does not join those that run', async () => {
  const database = await databases.create()
  const started = startServer({
    data: await temporaryFolder(),
    store: database.url,
    grpc: '127.0.0.1:0',
    http: 'off',
    logLevel: 'silent',
    attestationAmdRoots: '/nowhere/roots.pem',
  })
  await expect(started).rejects.toThrow("--attestation-amd-roots '/nowhere/roots.pem' cannot be read")
  expect(
    await sql(database.url, "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'millrace%'"),
  ).toEqual([])
})

it('a server that cannot start when its store is open closes it', async () => {
  const data = await temporaryFolder()
  await symlink('analytics', join(data, 'analytics'))
  const start = () => startServer({ data, grpc: '127.0.0.1:0', http: 'off', logLevel: 'silent' })
  await expect(start()).rejects.toThrow('ELOOP')
  await rm(join(data, 'analytics'))
  await using server = await start()
  expect(server.grpc).toMatch(/^127/)
})
