import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createStatementKey, type Evidence, simulateEvidence } from '@millrace/attestation'
import { ConflictError, type Millrace, TaskNotFoundError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { clientOf, freshName, startWorker, useServer } from '../harness/fixture.ts'
import { type ServerDidNotStart, startServer } from '../harness/server.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'
import { failure, rawClient, reader } from '../raw/raw.ts'

const fixture = useServer({ flags: ['--attestation-simulated'] })
const strict = useServer()
const measurement = 'a1'.repeat(32)
const signer = 'b2'.repeat(32)
const simulated = (reportData: Uint8Array) => simulateEvidence(reportData, { measurement, signer })
const tasks = { double: (n: number) => n * 2 }

interface Job {
  readonly jobId: string
  readonly leaseToken: string
}

interface Pushed {
  readonly deliveries?: { readonly jobs: readonly Job[] }
  readonly settled?: { readonly rejected: readonly { readonly error: { readonly reason: string } }[] }
}

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

test('an attested worker completes a task with its signature alone, whichever way it tries', async () => {
  const namespace = freshName()
  const mr = fixture.client({ namespace })
  const at = { endpoint: fixture.server.endpoint, key: fixture.server.key, namespace }
  const key = await createStatementKey()
  const { quote } = simulateEvidence(key.reportData, { measurement, signer })
  const subscribe = { functions: ['double'], maxInFlight: 1, leaseMs: 60_000 }
  using workers = rawClient('WorkerService', at)
  using queues = rawClient('QueueService', at)
  const [attested, plain] = [workers.talk('ProcessJobs'), workers.talk('ProcessJobs')]
  const [pushed, answered] = [reader<Pushed>(attested), reader<Pushed>(plain)]
  attested.write({ subscribe: { ...subscribe, attestation: { platform: 'TEE_PLATFORM_SIMULATED', quote, publicKey: key.publicKey } } })
  plain.write({ subscribe })
  await Promise.all([pushed.next(), answered.next()])
  const task = await submit(mr)
  const [job] = (await pushed.next()).deliveries!.jobs as [Job]
  const lease = { jobId: job.jobId, leaseToken: job.leaseToken }
  const result = Buffer.from('42')

  // Without a signature: by the call, by the call for many, by the stream of a worker that is not attested, by its own.
  expect(await failure(queues.call('CompleteJob', { ...lease, result }))).toMatchObject({
    code: 9,
    details: expect.stringMatching(/proof/),
  })
  const settlement = { ...lease, complete: { result } }
  const { results } = await queues.call<{ results: { error: object }[] }>('SettleJobs', { settlements: [settlement] })
  expect(results).toMatchObject([{ error: { reason: 'FAILED_PRECONDITION' } }])
  for (const [stream, answers] of [
    [plain, answered],
    [attested, pushed],
  ] as const) {
    stream.write({ settle: { sequence: 1, settlements: [settlement] } })
    expect((await answers.next()).settled!.rejected).toMatchObject([{ error: { reason: 'FAILED_PRECONDITION' } }])
  }
  // With the signature of another result.
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const statement = { taskId: job.jobId, function: 'double', payloadSha256: sha256('21') }
  const sign = async (text: string) => ({ signature: await key.sign({ ...statement, resultSha256: sha256(text) }) })
  attested.write({ settle: { sequence: 2, settlements: [{ ...lease, complete: { result, proof: await sign('43') } }] } })
  expect((await pushed.next()).settled!.rejected).toMatchObject([{ error: { reason: 'FAILED_PRECONDITION' } }])
  expect((await mr.tasks.status(task.taskId)).status).toBe('running')

  attested.write({
    settle: { sequence: 3, settlements: [{ ...lease, complete: { result, contentType: 'application/json', proof: await sign('42') } }] },
  })
  expect((await pushed.next()).settled!.rejected).toEqual([])
  expect(await task.wait()).toMatchObject({ status: 'completed', result: 42 })
  attested.end()
  plain.end()
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

  test('when the server has revocation lists, and none of the root of its certificates; a server without what it was told to read does not start', async () => {
    const folder = temporaryFolder()
    const flags = ['--attestation-amd-crls', folder]
    const empty: unknown = await startServer({ flags }).catch((error: unknown) => error)
    expect((empty as ServerDidNotStart).output).toMatch(/--attestation-amd-crls .* cannot be read: no file in it ends in \.crl/)
    writeFileSync(join(folder, 'Milan.crl'), 'no list')
    await using server = await startServer({ flags })
    const vectors = new URL('../../../packages/attestation/vectors/', import.meta.url)
    const [quote, vcek, chain] = ['snp_attestation.bin', 'snp_vcek.der', 'snp_milan_ask_ark.pem'].map((name) =>
      readFileSync(new URL(name, vectors)),
    )
    const pem = `-----BEGIN CERTIFICATE-----\n${vcek!.toString('base64').replaceAll(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
    const evidence = { platform: 'sev-snp', quote: quote!, endorsements: Buffer.from(pem + chain!.toString()) } as const
    await expect(refusal(clientOf(server), () => evidence)).rejects.toThrow('A revocation list cannot be read')
    await expect(refusal(strict.client(), () => evidence)).rejects.toThrow('The code may be debugged')
  })

  test.each([
    ['attestation', undefined],
    ['attestation.platform', { platform: 'sev', quote: new Uint8Array(1), endorsements: new Uint8Array() }],
    ['attestation.quote', { platform: 'sgx', quote: 'text', endorsements: new Uint8Array() }],
    ['attestation.endorsements', { platform: 'sgx', quote: new Uint8Array(1) }],
    ['subscribe.attestation.quote', { platform: 'sgx', quote: new Uint8Array(), endorsements: new Uint8Array() }],
  ])('when it brings no evidence: %s', async (path, evidence) => {
    await expect(refusal(strict.client(), () => evidence as Evidence)).rejects.toMatchObject({
      name: 'ValidationError',
      fields: [{ path }],
    })
  })

  test('when its evidence is garbage', async () => {
    const garbage = { platform: 'tdx', quote: new Uint8Array(100), endorsements: new Uint8Array() } as const
    await expect(refusal(strict.client(), () => garbage)).rejects.toThrow('cannot be read')
  })
})
