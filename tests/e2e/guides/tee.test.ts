import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createStatementKey, type Evidence, simulateEvidence } from '@millrace/attestation'
import { ConflictError, type Millrace, TaskNotFoundError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, startWorker, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer({ flags: ['--attestation-simulated'] })
const strict = useServer()
const measurement = 'a1'.repeat(32)
const signer = 'b2'.repeat(32)
const simulated = (reportData: Uint8Array) => simulateEvidence(reportData, { measurement, signer })
const tasks = { double: (n: number) => n * 2 }

async function submit(mr: Millrace, payload: unknown = 21) {
  return mr.tasks.submit({ function: 'double', payload, teeRequired: true })
}

describe('tasks that require a trusted execution environment', () => {
  test('wait for an attested worker, and say so; others do not get them', async () => {
    const mr = fixture.client()
    await startWorker(mr.worker({ tasks, signals: false }))
    const task = await submit(mr)
    const plain = await mr.tasks.submit({ function: 'double', payload: 4 })
    expect(await plain.wait()).toMatchObject({ result: 8 })
    expect(await mr.tasks.get(task.taskId)).toMatchObject({
      status: 'pending',
      function: 'double',
      teeRequired: true,
      waitsFor: "an attested worker for function 'double' in queue 'default': none is connected to this server",
    })
    expect((await mr.tasks.list({ function: 'double' })).items.map(({ taskId }) => taskId)).toEqual([plain.taskId, task.taskId])

    await startWorker(mr.worker({ tasks, signals: false, attestation: simulated }))
    expect(await task.wait({ timeout: '5s' })).toMatchObject({ status: 'completed', result: 42 })
  })

  test('have a proof, which can be verified without the server', async () => {
    const mr = fixture.client()
    const worker = await startWorker(mr.worker({ tasks, signals: false, attestation: simulated }))
    const task = await submit(mr)
    await task.wait({ timeout: '5s' })
    const proof = await mr.tasks.proof(task.taskId)
    expect(proof).toMatchObject({
      platform: 'simulated',
      verified: false,
      mrenclave: measurement,
      mrsigner: signer,
      executedOn: worker.workerId,
      signed: { statement: { taskId: task.taskId, function: 'double', payloadSha256: createHash('sha256').update('21').digest('hex') } },
    })
    const expected = { expectedMrenclave: measurement, trustedSigningKey: signer, acceptSimulated: true }
    expect(await proof.verifyLocally({ ...expected, payload: 21, result: 42 })).toEqual({ valid: true })
    expect(await proof.verifyLocally()).toEqual({ valid: false, error: 'Simulated evidence proves nothing and is not accepted here.' })
    expect(await proof.verifyLocally({ ...expected, result: 43 })).toEqual({ valid: false, error: 'The result is another one.' })
    expect(await proof.verifyLocally({ ...expected, expectedMrenclave: '00' })).toMatchObject({ valid: false })
    expect(await proof.verifyLocally({ ...expected, trustedSigningKey: '00' })).toMatchObject({ valid: false })
  })

  test('have no proof before they complete; other tasks have none at all', async () => {
    const mr = fixture.client()
    const task = await submit(mr)
    await expect(mr.tasks.proof(task.taskId)).rejects.toThrow('it has not completed')
    const plain = await mr.tasks.submit({ function: 'double', payload: 1 })
    await expect(mr.tasks.proof(plain.taskId)).rejects.toThrow('it did not require a trusted execution environment')
    await expect(mr.tasks.proof('task_0000000000a')).rejects.toBeInstanceOf(TaskNotFoundError)
    const elsewhere = fixture.client({ namespace: freshName() })
    await expect(elsewhere.tasks.proof(task.taskId)).rejects.toBeInstanceOf(TaskNotFoundError)
  })

  test('keep their order of priority and age beside plain tasks of the same function', async () => {
    const mr = fixture.client()
    const order: number[] = []
    const submitOne = (payload: number, teeRequired: boolean, priority = 0) =>
      mr.tasks.submit({ function: 'note', payload, teeRequired, priority })
    for (let n = 0; n < 6; n++) await submitOne(n, n % 2 === 0)
    const last = await submitOne(6, true, 10)
    await startWorker(
      mr.worker({ tasks: { note: (n: number) => void order.push(n) }, concurrency: 1, signals: false, attestation: simulated }),
    )
    await last.wait({ timeout: '5s' })
    await until('all have run', () => order.length === 7)
    expect(order).toEqual([6, 0, 1, 2, 3, 4, 5])
  })
})

describe('a worker is refused', () => {
  const refusal = (mr: Millrace, attestation: (reportData: Uint8Array) => Evidence) =>
    mr.worker({ tasks, signals: false, attestation }).start()

  test('when its evidence is simulated and the server does not accept that', async () => {
    await expect(refusal(strict.client(), simulated)).rejects.toThrow(ConflictError)
    await expect(refusal(strict.client(), simulated)).rejects.toThrow('Simulated evidence proves nothing')
  })

  test('when its evidence is not bound to its key: a published quote, say', async () => {
    const vectors = new URL('../../../packages/attestation/vectors/', import.meta.url)
    const report = readFileSync(new URL('snp_attestation.bin', vectors))
    const platform = 'sev-snp'
    await expect(refusal(strict.client(), () => ({ platform, quote: report, endorsements: new Uint8Array() }))).rejects.toThrow(
      'The VCEK is missing',
    )
    const other = await createStatementKey()
    await expect(refusal(fixture.client(), () => simulated(other.reportData))).rejects.toThrow('not bound to the key')
  })

  test('when its evidence is garbage', async () => {
    const garbage = { platform: 'tdx', quote: new Uint8Array(100), endorsements: new Uint8Array() } as const
    await expect(refusal(strict.client(), () => garbage)).rejects.toThrow('cannot be read')
  })
})
