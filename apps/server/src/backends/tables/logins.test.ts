import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asOwner, postgresVersion, startPostgres, whyMissing } from '@millrace/dev'
import { expect, test } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import { PostgresTables } from './postgres/open.ts'

const missing = whyMissing(postgresVersion)
const scope = { tenant: 1, namespace: 'default' }

test('roles log in with passwords; one that its owner changed is set anew', { timeout: 60_000 }, async (ctx) => {
  ctx.skip(missing !== undefined, missing)
  await using postgres = await startPostgres({ fsync: false, password: 'right' })
  for (const word of ['first', 'second']) {
    const database = new PostgresTables({ url: postgres.url, timeoutMs: 5000, connections: 2 })
    const engine = new TableEngine({ database, bounds: { rows: 10, bytes: 1000 } })
    const { command } = await engine.sql(scope, { text: `ALTER ROLE CURRENT_USER PASSWORD 'mine-${word}'`, values: [] })
    expect(command).toBe('ALTER ROLE')
    await engine.close()
  }
})

test('connections with TLS', { timeout: 60_000 }, async (ctx) => {
  ctx.skip(missing !== undefined, missing)
  const dir = mkdtempSync(join(tmpdir(), 'millrace-certificate-'))
  try {
    const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')]
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', certificate]
    const { status, stderr, error } = spawnSync('openssl', request, { encoding: 'utf8' })
    ctx.skip(error !== undefined, 'openssl is not installed')
    expect(status, stderr).toBe(0)
    for (const path of [dir, key, certificate]) asOwner(path)
    await using postgres = await startPostgres({ fsync: false, settings: { ssl: 'on', ssl_key_file: key, ssl_cert_file: certificate } })
    const open = (mode: string) => {
      const database = new PostgresTables({ url: `${postgres.url}?sslmode=${mode}`, timeoutMs: 5000, connections: 2 })
      return new TableEngine({ database, bounds: { rows: 10_000, bytes: 1_000_000 } })
    }
    const engine = open('no-verify')
    const sql = 'SELECT ssl, i FROM pg_stat_ssl, generate_series(1, 5000) i WHERE pid = pg_backend_pid()'
    const { result } = await engine.sql(scope, { text: sql, values: [] })
    const rows = JSON.parse(Buffer.from(result.rows).toString()) as unknown[]
    expect(rows).toEqual(Array.from({ length: 5000 }, (_, i) => ({ ssl: true, i: i + 1 })))
    await engine.close()
    const strict = open('verify-full')
    await expect(strict.check()).rejects.toMatchObject({ reason: 'UNAVAILABLE', message: expect.stringContaining('certificate') })
    await strict.close()
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
