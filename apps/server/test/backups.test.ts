import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { newJob, startTestServer, temporaryFolder } from './harness.ts'
import { spawnMillrace } from './process.ts'

const hour = 3_600_000

describe('copies of a running SQLite store', () => {
  it('are made from time to time, the newest are kept, and one is a store as of then', async () => {
    const clock = new ManualClock(Date.UTC(2030, 0, 1))
    const backupTo = await temporaryFolder()
    const { server, admin } = await startTestServer({ backupTo, backupEvery: '1h', backupKeep: 2 }, clock)
    const copies = async () => (await readdir(backupTo)).sort()
    const enqueue = (n: number) =>
      admin.queues.enqueueJobs({ queue: 'q', jobs: Array.from({ length: n }, () => newJob()), requestId: '', allowPartial: false })
    await enqueue(10)
    await clock.advance(0)
    await expect.poll(copies).toEqual(['millrace-2030-01-01T00-00-00Z.db'])
    for (const n of [1, 2, 3]) {
      await enqueue(100)
      await clock.advance(hour)
      const newest = async () => {
        // The one before may not have been over when its hour was.
        await clock.advance(0)
        return (await copies()).at(-1)
      }
      await expect.poll(newest).toBe(`millrace-2030-01-01T0${n}-00-00Z.db`)
    }
    await expect.poll(copies).toEqual(['millrace-2030-01-01T02-00-00Z.db', 'millrace-2030-01-01T03-00-00Z.db'])
    await enqueue(5)
    await server.stop()

    // A server that was away copies at once when it is time, and not before.
    const next = new ManualClock(clock.now() + hour / 2)
    const again = await startTestServer({ backupTo, backupEvery: '1h', backupKeep: 2 }, next)
    await next.advance(hour / 2 - 1)
    expect((await copies()).at(-1)).toBe('millrace-2030-01-01T03-00-00Z.db')
    await next.advance(1)
    await expect.poll(async () => (await copies()).at(-1)).toBe('millrace-2030-01-01T04-00-00Z.db')
    await again.server.stop()

    const data = await temporaryFolder()
    await copyFile(join(backupTo, 'millrace-2030-01-01T03-00-00Z.db'), join(data, 'millrace.db'))
    const restored = await startTestServer({ data })
    expect(await restored.admin.queues.getQueueStats({ queue: 'q' })).toMatchObject({ pending: 310 })
  })

  it('that fail are made a minute later', async () => {
    const clock = new ManualClock()
    const backupTo = join(await temporaryFolder(), 'copies')
    await startTestServer({ backupTo }, clock)
    await rm(backupTo, { recursive: true })
    await clock.advance(0)
    // The copy has failed when its next try is scheduled, at the earliest.
    await expect
      .poll(async () => {
        await mkdir(backupTo, { recursive: true })
        await clock.advance(60_000)
        return (await readdir(backupTo)).length
      })
      .toBeGreaterThan(0)
    const file = join(await temporaryFolder(), 'file')
    await writeFile(file, '')
    await expect(startTestServer({ backupTo: join(file, 'x') }, clock)).rejects.toThrow(/x cannot be used \(ENOTDIR\)/)
  })

  it('are not for Postgres', async () => {
    const { ended } = await spawnMillrace(['serve', '--store', 'postgres://h/d', '--backup-to', 'x'])
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining('--backup-to: is for the SQLite store') })
  })
})
