import { type Postgres, startPostgres } from '@millrace/dev'
import { afterAll, beforeAll, test } from 'vitest'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { declareSuite } from './suite.ts'

// The same suite over Postgres. What the stores must do for it, the conformance suite of stores asks of both each time.
if (process.env.MILLRACE_LONG === '1') {
  let postgres: Postgres
  let server: ServerProcess
  beforeAll(async () => {
    postgres = await startPostgres({ fsync: false })
    server = await startServer({ flags: ['--store', postgres.url] })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await postgres.stop()
  })
  declareSuite(() => server)
} else {
  test('the protocol over Postgres', ({ skip }) => skip('takes half a minute: with MILLRACE_LONG=1'))
}
