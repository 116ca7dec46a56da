import { postgresVersion, startPostgres } from '@millrace/dev'
import { expect, test } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import { PostgresTables } from './postgres/open.ts'

function whyNoPostgres(): string | undefined {
  try {
    postgresVersion()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const missing = whyNoPostgres()

test('roles log in with passwords; one that its owner changed is set anew', { timeout: 60_000 }, async (ctx) => {
  ctx.skip(missing !== undefined, missing)
  await using postgres = await startPostgres({ fsync: false, password: 'right' })
  const scope = { tenant: 1, namespace: 'default' }
  for (const word of ['first', 'second']) {
    const database = new PostgresTables({ url: postgres.url, timeoutMs: 5000, connections: 2 })
    const engine = new TableEngine({ database, bounds: { rows: 10, bytes: 1000 } })
    const { command } = await engine.sql(scope, { text: `ALTER ROLE CURRENT_USER PASSWORD 'mine-${word}'`, values: [] })
    expect(command).toBe('ALTER ROLE')
    await engine.close()
  }
})
