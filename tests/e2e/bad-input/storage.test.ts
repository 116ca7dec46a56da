import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InternalError, Millrace, MillraceError, UnavailableError } from '@millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientOf } from '../harness/fixture.ts'
import { createRandom, testSeed } from '../harness/random.ts'
import { ServerDidNotStart, type ServerOptions, startServer } from '../harness/server.ts'
import { createSmallDisk, noSmallDisk } from '../harness/small-disk.ts'
import { temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'

const namespace = 'storage'
const impatient = { namespace, retry: false, circuitBreaker: false, timeout: '5s' } as const

/** Why a server did not start. Fails when it did. */
async function refusal(options: ServerOptions): Promise<ServerDidNotStart> {
  try {
    await using _server = await startServer(options)
  } catch (error) {
    if (error instanceof ServerDidNotStart) return error
    throw error
  }
  throw new Error('The server started.')
}

/** What everybody may expect of a refusal: an exit code of its own making, and words instead of a stack. */
function expectClear({ ended, output }: ServerDidNotStart, words: RegExp): void {
  expect(ended.signal).toBeNull()
  expect(ended.code).toBeGreaterThan(0)
  expect(output).toMatch(words)
  expect(output).not.toMatch(/^\s+at .+:\d+:\d+\)?$/m)
}

describe('a full disk', () => {
  test('writes are refused, reads go on; with room again all is well, and nothing acknowledged is lost', async ({ skip }) => {
    if (noSmallDisk) skip(noSmallDisk)
    await using disk = await createSmallDisk(24 * 1024 ** 2)
    await using server = await startServer({ data: join(disk.path, 'data'), via: disk.via })
    const mr = clientOf(server, impatient)
    const queue = mr.queue<Uint8Array>('disk')
    const payload = (n: number) => new Uint8Array(50_000).fill(n % 256)
    const acknowledged: string[] = []
    const enqueue = async (n: number) => acknowledged.push((await queue.enqueue(payload(n))).jobId)

    for (let n = 0; n < 20; n++) await enqueue(n)
    disk.leaveFree(1024 ** 2)
    const refused: unknown = await (async () => {
      for (let n = 20; n < 2000; n++) await enqueue(n)
    })().catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(UnavailableError)
    expect((refused as Error).message).toMatch(/disk|space|full/i)

    disk.leaveFree(0)
    await expect(
      (async () => {
        for (;;) acknowledged.push((await queue.enqueue(new Uint8Array(50))).jobId)
      })(),
    ).rejects.toBeInstanceOf(UnavailableError)

    // It stays up, says that it cannot write, and answers what needs no room.
    expect(server.child.exitCode).toBeNull()
    expect((await queue.get(acknowledged[0]!)).status).toBe('pending')
    const health = await until('it says that it is not', async () => {
      // it looks once a second
      const health = await mr.health()
      return !health.healthy && health
    })
    expect(health).toMatchObject({ detail: expect.stringMatching(/disk|space|full/i) })
    const refusals = await Promise.allSettled(Array.from({ length: 20 }, () => queue.enqueue(payload(0))))
    for (const outcome of refusals) {
      if (outcome.status === 'fulfilled') acknowledged.push(outcome.value.jobId)
      else expect(outcome.reason).toBeInstanceOf(UnavailableError)
    }

    disk.leaveFree(Number.POSITIVE_INFINITY)
    await until('it takes jobs again', () => enqueue(9))
    await until('it says so', async () => (await mr.health()).healthy)
    expect((await queue.stats()).total).toBe(acknowledged.length)
    await server.kill()
    await server.restart()
    const again = clientOf(server, impatient).queue<Uint8Array>('disk')
    for (const id of acknowledged) expect((await again.get(id)).payload.length).toBeOneOf([50, 50_000])
    const job = (await again.reserve())!
    await job.complete('done')
  })

  test('a disk that is full at the start: a clear refusal, and a good start when there is room', async ({ skip }) => {
    if (noSmallDisk) skip(noSmallDisk)
    await using disk = await createSmallDisk(8 * 1024 ** 2)
    disk.leaveFree(0)
    const options = { data: join(disk.path, 'data'), via: disk.via }
    expectClear(await refusal(options), /disk|space|full/i)
    disk.leaveFree(Number.POSITIVE_INFINITY)
    await using server = await startServer(options)
    await clientOf(server, impatient).queue('disk').enqueue(1)
  })

  test('a read-only disk: a clear refusal', async ({ skip }) => {
    if (noSmallDisk) skip(noSmallDisk)
    await using disk = await createSmallDisk(8 * 1024 ** 2)
    disk.freeze()
    expectClear(await refusal({ data: disk.path, via: disk.via }), /read-only|writ/i)
  })
})

describe('the data directory', () => {
  test('in use by another server: refused, and the first one is not disturbed', async () => {
    await using server = await startServer()
    const queue = clientOf(server, impatient).queue<number>('mine')
    await queue.enqueue(1)
    expectClear(await refusal({ data: server.data }), /in use|another/i)
    expect((await queue.reserve())?.payload).toBe(1)
    await server.kill()
    await using next = await startServer({ data: server.data }) // a crash leaves no lock behind
    expect(await clientOf(next, impatient).queue('mine').stats()).toMatchObject({ total: 1 })
  })

  test('a file, below a file, where nothing can be made', async () => {
    const folder = temporaryFolder()
    const file = join(folder, 'file')
    writeFileSync(file, 'x')
    for (const data of [file, join(file, 'below'), '/sys/nowhere', '/proc/nowhere']) {
      const error = await refusal({ data })
      expectClear(error, /cannot be used/i)
      expect(error.output).toContain(data)
    }
    expect(readFileSync(file, 'utf8')).toBe('x')
  })

  test('is made when it is missing, parents too', async () => {
    const data = join(temporaryFolder(), 'a/b/c')
    await using _server = await startServer({ data })
    expect(existsSync(data)).toBe(true)
  })

  test('a port that is taken', async () => {
    await using server = await startServer()
    const port = Number(server.endpoint.split(':')[1])
    const error = await refusal({ port })
    expectClear(error, /in use|EADDRINUSE/i)
    expect(error.output).toContain(String(port))
  })

  test('settings that are wrong name themselves', async () => {
    expectClear(await refusal({ flags: ['--payload-limit', 'huge'] }), /--payload-limit/)
    expectClear(await refusal({ env: { MILLRACE_QUEUE_DEPTH: '-5' } }), /MILLRACE_QUEUE_DEPTH/)
    expectClear(await refusal({ env: { MILLRACE_ROOT_KEY: 'short' } }), /MILLRACE_ROOT_KEY/)
    expectClear(await refusal({ flags: ['--no-such-flag'] }), /--no-such-flag/)
  })
})

describe('a damaged database', () => {
  /** Of the database: what a disk loses or mixes up is a page, seldom a byte. */
  const pageBytes = 8192
  const jobs = 400
  /** A good data directory, and the largest file in it. */
  let good: string
  let databaseName: string
  const ids: string[] = []

  beforeAll(async () => {
    good = temporaryFolder()
    await using server = await startServer({ data: good })
    await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key, namespace })
    const results = await mr.queue<string>('kept').enqueueBatch(Array.from({ length: jobs }, (_, n) => ({ payload: payloadOf(n) })))
    ids.push(...results.map(({ jobId }) => jobId))
    expect((await server.stop()).code).toBe(0)
    const files = readdirSync(good, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(good, name)).isFile())
    databaseName = files.sort((a, b) => statSync(join(good, b)).size - statSync(join(good, a)).size)[0]!
  })
  afterAll(() => {
    ids.length = 0
  })

  const payloadOf = (n: number) => `job ${n} `.repeat(20)

  /** A copy of the good directory with damage done to its database. */
  function damaged(damage: (file: string) => void): { data: string; file: string } {
    const data = join(temporaryFolder(), 'data')
    mkdirSync(data)
    cpSync(good, data, { recursive: true })
    const file = join(data, databaseName)
    damage(file)
    return { data, file }
  }

  function overwrite(file: string, offset: number, bytes: Uint8Array): void {
    const content = readFileSync(file)
    content.set(bytes, offset)
    writeFileSync(file, content)
  }

  /** Either the start is refused, or each job is read right or refused. Never a wrong job, never a job that is not there. */
  async function outcomeOf({ data, file }: { data: string; file: string }): Promise<'refused' | 'errors' | 'harmless'> {
    const size = statSync(file).size
    try {
      await using server = await startServer({ data })
      const queue = clientOf(server, impatient).queue<string>('kept')
      let errors = 0
      for (const [n, id] of ids.entries()) {
        try {
          expect((await queue.get(id)).payload).toBe(payloadOf(n))
        } catch (error) {
          if (!(error instanceof InternalError) && !(error instanceof UnavailableError)) throw error
          errors++
        }
      }
      expect(server.child.exitCode).toBeNull()
      return errors > 0 ? 'errors' : 'harmless'
    } catch (error) {
      if (!(error instanceof ServerDidNotStart)) throw error
      expectClear(error, /corrupt|damaged|malformed|not a database/i)
      return 'refused'
    } finally {
      expect(existsSync(file)).toBe(true) // what can still be saved is not thrown away
      expect(statSync(file).size).toBeGreaterThanOrEqual(size)
    }
  }

  test('an undamaged copy is good', async () => {
    expect(await outcomeOf(damaged(() => {}))).toBe('harmless')
  })

  test('another file in its place, a broken header, a file cut in half', async () => {
    expect(await outcomeOf(damaged((file) => writeFileSync(file, 'This is not a database.\n'.repeat(1000))))).toBe('refused')
    expect(await outcomeOf(damaged((file) => overwrite(file, 0, Buffer.from('SQLite format 4\0'))))).toBe('refused')
    expect(await outcomeOf(damaged((file) => truncateSync(file, Math.floor(statSync(file).size / 2))))).not.toBe('harmless')
    expect(await outcomeOf(damaged((file) => truncateSync(file, 100)))).toBe('refused')
  })

  test('pages of garbage at random places are found or do no harm', { timeout: 120_000 }, async () => {
    const random = createRandom(testSeed(7))
    const outcomes: Record<string, number> = {}
    for (let i = 0; i < 12; i++) {
      const bytes = Buffer.from(Array.from({ length: pageBytes }, () => random.int(0, 255)))
      const copy = damaged((file) => overwrite(file, random.int(0, Math.floor(statSync(file).size / pageBytes) - 1) * pageBytes, bytes))
      const outcome = await outcomeOf(copy)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
    console.log('damaged pages:', outcomes)
    expect((outcomes.refused ?? 0) + (outcomes.errors ?? 0)).toBeGreaterThan(0)
  })

  test('errors of a damaged database are typed, and say what to do', async () => {
    const { data } = damaged((file) =>
      overwrite(file, Math.floor(statSync(file).size / pageBytes / 2) * pageBytes, new Uint8Array(pageBytes * 6)),
    )
    try {
      await using server = await startServer({ data })
      const queue = clientOf(server, impatient).queue<string>('kept')
      const outcomes = await Promise.allSettled(ids.map((id) => queue.get(id)))
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(MillraceError)
    } catch (error) {
      if (!(error instanceof ServerDidNotStart)) throw error
      expectClear(error, /corrupt|damaged|malformed/i)
    }
  })
})
