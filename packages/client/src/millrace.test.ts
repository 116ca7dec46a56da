import { UnavailableError, ValidationError } from '@millrace/core'
import { expect, onTestFinished, test } from 'vitest'
import { Millrace } from './millrace.ts'
import { JobServer, wireJob } from './testing/job-server.ts'
import { gate, silentLogger } from './testing/setup.ts'

test('closing drains the workers, and what comes after is refused', async () => {
  const server = await new JobServer().start()
  onTestFinished(() => server.kill())
  const begun = gate()
  const end = gate()
  const mr = new Millrace({ endpoint: server.endpoint, logger: silentLogger })
  const worker = mr.worker({
    queue: 'emails',
    signals: false,
    handler: async () => {
      begun.open()
      await end.passed
    },
  })
  const early = mr.worker({ queue: 'emails', signals: false, handler: () => 1 })
  await worker.start()
  const session = await server.sessions.next()
  session.deliver(wireJob('job_1'))
  await begun.passed
  const close = mr.close()
  end.open()
  await close
  expect(session.settled('complete')).toEqual(['job_1'])
  await expect(early.start()).rejects.toThrow(/started or stopped before/)
  expect(() => mr.worker({ queue: 'emails', handler: () => 1 })).toThrow(UnavailableError)
  await expect(mr.health()).rejects.toThrow('This client is closed.')
})

test('a wrong endpoint is an error at once', () => {
  expect(() => new Millrace({ endpoint: 'ftp://x' })).toThrow(ValidationError)
})
