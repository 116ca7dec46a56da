import { RevocationReason } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { type JobSession, wireJob } from '../testing/job-server.ts'
import { conflict, gate, json, started } from '../testing/setup.ts'
import { JobRevokedError } from './job-errors.ts'

/** A worker that runs one job whose handler waits for its signal, and the reason it hears. */
async function startedWaiting(job = wireJob('job_1')) {
  const begun = gate()
  const told = gate<unknown>()
  const setup = await started(
    (_job, ctx) =>
      new Promise((resolve) => {
        ctx.signal.addEventListener('abort', () => {
          told.open(ctx.signal.reason)
          resolve('too late')
        })
        begun.open()
      }),
    { lease: '30s' },
  )
  setup.session.deliver(job)
  await begun.passed
  return { ...setup, told: told.passed }
}

describe('renewal', () => {
  test('comes by itself after a third of the time, for all jobs in one message', async () => {
    const both = gate()
    const end = gate()
    let begun = 0
    const { worker, session, clock } = await started(
      () => {
        if (++begun === 2) both.open()
        return end.passed
      },
      { lease: '30s' },
    )
    session.deliver(wireJob('job_1'), wireJob('job_2'))
    await both.passed
    clock.advance(9000)
    await session.sync()
    expect(session.settled('renew')).toEqual([])
    for (let round = 1; round <= 5; round++) {
      clock.advance(10_000)
      await session.settlements.until(() => session.settled('renew').length === round * 2)
      await session.sync()
    }
    const renewals = session.settles.all.filter((settle) => settle.settlements[0]?.action?.$case === 'renew')
    expect(renewals.map((settle) => settle.settlements.map((s) => s.jobId))).toEqual(Array(5).fill(['job_1', 'job_2']))
    end.open()
    await worker.stop()
    expect(session.settled('complete')).toEqual(['job_1', 'job_2'])
  })

  test('can be asked for by the handler', async () => {
    const { worker, session, clock } = await started(async (_job, ctx) => (await ctx.renew()).getTime() - clock.now(), { lease: '45s' })
    session.deliver(wireJob('job_1'))
    expect((await session.settlements.next()).action).toEqual({ $case: 'renew', value: { leaseMs: 0 } })
    expect((await session.settlements.next()).action).toMatchObject({ value: { result: json(45_000) } })
    await worker.stop()
  })

  test('that the handler asks for and the server refuses is an error of the handler', async () => {
    const heard = gate<unknown>()
    const { worker, session } = await started(async (_job, ctx) => ctx.renew().catch(heard.open))
    session.refuse = () => conflict
    session.deliver(wireJob('job_1'))
    expect(await heard.passed).toMatchObject({ name: 'ConflictError' })
    await worker.stop()
    expect(session.settled('complete')).toEqual([])
  })

  test.each<[string, (session: JobSession) => void]>([
    ['refused', (session) => Object.assign(session, { refuse: () => conflict })],
    ['not answered', (session) => Object.assign(session, { answers: false })],
  ])('that is %s ends the lease, tells the handler, and drops its result', async (_what, prepare) => {
    const { worker, session, clock, told } = await startedWaiting()
    prepare(session)
    clock.advance(10_000)
    await session.settlements.find((settlement) => settlement.action?.$case === 'renew')
    clock.advance(20_000)
    expect(await told).toBeInstanceOf(JobRevokedError)
    expect(await told).toMatchObject({ why: 'lease_lost' })
    for (const settle of session.settles.all) session.answer(settle)
    session.answers = true
    await worker.stop()
    expect(session.settled('complete')).toEqual([])
  })
})

describe('revocation', () => {
  test.each([
    [RevocationReason.CANCELLED, 'cancelled'],
    [RevocationReason.TIMEOUT, 'timeout'],
    [RevocationReason.LEASE_EXPIRED, 'lease_lost'],
    [RevocationReason.UNSPECIFIED, 'lease_lost'],
  ] as const)('reason %d tells the handler %s and drops its result', async (reason, why) => {
    const { worker, session, told } = await startedWaiting()
    session.send({ $case: 'revoked', value: { jobs: [{ jobId: 'job_1', leaseToken: 'token of job_1', reason }] } })
    expect(await told).toMatchObject({ name: 'JobRevokedError', why })
    await session.sync()
    await worker.stop()
    expect(session.settled('complete')).toEqual([])
  })

  test('of another lease of the same job is not heeded', async () => {
    const end = gate()
    const { worker, session } = await started(async (_job, ctx) => {
      await end.passed
      return ctx.signal.aborted
    })
    session.deliver(wireJob('job_1'))
    session.send({ $case: 'revoked', value: { jobs: [{ jobId: 'job_1', leaseToken: 'an older one', reason: 1 }] } })
    await session.sync()
    end.open()
    expect((await session.settlements.find((s) => s.jobId === 'job_1')).action).toMatchObject({ value: { result: json(false) } })
    await worker.stop()
  })

  test('of a job that waits means that it never begins', async () => {
    const begun: string[] = []
    const { worker, session } = await started(
      (job, ctx) => {
        begun.push(job.id)
        if (job.id === 'job_1') return new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
      },
      { concurrency: 1 },
    )
    session.deliver(wireJob('job_1'), wireJob('job_2'), wireJob('job_3'))
    const jobs = ['job_2', 'job_1'].map((jobId) => ({ jobId, leaseToken: `token of ${jobId}`, reason: RevocationReason.CANCELLED }))
    session.send({ $case: 'revoked', value: { jobs } })
    await session.settlements.find((s) => s.jobId === 'job_3')
    expect(begun).toEqual(['job_1', 'job_3'])
    await worker.stop()
  })

  test('is seen by a handler that looks for it later', async () => {
    const end = gate()
    const seen = gate<unknown>()
    const { worker, session } = await started(async (_job, ctx) => {
      await end.passed
      seen.open(ctx.signal.reason)
    })
    session.deliver(wireJob('job_1'))
    session.send({ $case: 'revoked', value: { jobs: [{ jobId: 'job_1', leaseToken: 'token of job_1', reason: 2 }] } })
    await session.sync()
    end.open()
    expect(await seen.passed).toMatchObject({ why: 'timeout' })
    await worker.stop()
  })

  test('by a second delivery of the same job: the first handler is told, the second result counts', async () => {
    const attempts: AbortSignal[] = []
    const ends = [gate(), gate()]
    const { worker, session } = await started(async (job, ctx) => {
      attempts.push(ctx.signal)
      await ends[job.attempt - 1]!.passed
      return job.attempt
    })
    session.deliver(wireJob('job_1'))
    session.deliver(wireJob('job_1', { leaseToken: 'newer', attempt: 2 }))
    await session.sync()
    expect(attempts.map((signal) => signal.aborted)).toEqual([true, false])
    ends[0]!.open()
    ends[1]!.open()
    await session.settlements.find((s) => s.leaseToken === 'newer')
    await worker.stop()
    expect(session.settlements.all.filter((s) => s.jobId === 'job_1').map((s) => s.leaseToken)).toEqual(['newer'])
  })
})

test("a timeout is measured from the delivery, whatever the server's clock says", async () => {
  const longAgo = Date.parse('1999-01-01')
  const job = wireJob('job_1', { leaseExpiresAt: new Date(longAgo + 30_000), deadline: new Date(longAgo + 5000) })
  const { worker, session, clock, told } = await startedWaiting(job)
  clock.advance(4000)
  await session.sync()
  clock.advance(1000)
  expect(await told).toMatchObject({ why: 'timeout' })
  await worker.stop()
})
