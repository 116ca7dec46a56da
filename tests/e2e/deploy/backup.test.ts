import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '@millrace/dev'
import { expect, onTestFinished, test } from 'vitest'
import { needPostgres } from '../cluster/nodes.ts'
import { clientOf } from '../harness/fixture.ts'
import { startServer } from '../harness/server.ts'
import { removeFolder, temporaryFolder } from '../harness/temporary.ts'

needPostgres()

// The commands of docs/operations.md, with the paths of this test.
test('a Postgres store is brought back to a moment before a mistake', { timeout: 60_000 }, async () => {
  const backup = temporaryFolder()
  onTestFinished(() => removeFolder(backup))
  const wal = join(backup, 'wal')
  mkdirSync(wal)
  const shell = (script: string) => execFileSync('sh', ['-euc', script], { encoding: 'utf8' })
  // Postgres runs as another user when the tests run as root.
  shell(`chmod -R a+rwx ${backup}`)
  await using postgres = await startPostgres({
    settings: { archive_mode: 'on', archive_command: `test ! -f ${wal}/%f && cp %p ${wal}/%f` },
  })
  const pgdata = join(postgres.dir, 'data')
  await using server = await startServer({ flags: ['--store', postgres.url] })
  const mr = clientOf(server)
  const enqueue = (queue: string, count: number) =>
    mr.queue(queue).enqueueBatch(Array.from({ length: count }, (_, payload) => ({ payload })))

  await enqueue('kept', 10)
  shell(`pg_basebackup --dbname='${postgres.url}' --pgdata=${backup}/base --checkpoint=fast --wal-method=stream`)
  const after = await enqueue('kept', 20)
  const moment = shell(`psql '${postgres.url}' --tuples-only --no-align --command 'SELECT clock_timestamp()'`).trim()
  await enqueue('mistake', 5)
  shell(`psql '${postgres.url}' --quiet --command 'SELECT pg_switch_wal()'`)

  await server.stop()
  await postgres.halt('fast')
  const owner = shell(`stat --format %u:%g ${pgdata}`).trim()
  shell(`
    rm -rf ${pgdata}
    cp -a ${backup}/base ${pgdata}
    cat >> ${pgdata}/postgresql.auto.conf <<END
restore_command = 'cp ${wal}/%f %p'
recovery_target_time = '${moment}'
recovery_target_action = 'promote'
END
    touch ${pgdata}/recovery.signal
    chown -R ${owner} ${pgdata}
  `)
  await postgres.start()
  await server.restart()

  expect(await mr.queue('kept').stats()).toMatchObject({ pending: 30 })
  expect(await mr.queue('mistake').stats()).toMatchObject({ total: 0 })
  // It goes on from there; numbers given since the moment are not given again to what it keeps.
  const [{ jobId }] = (await enqueue('kept', 1)) as [{ jobId: string }]
  expect(jobId > after.at(-1)!.jobId).toBe(true)
  expect(await mr.queue('kept').receive({ max: 100 })).toHaveLength(31)
})
