import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bucket, Millrace, NotFoundError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { createRandom, type Random, testSeed } from '../harness/random.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { removeFolder, temporaryFolder } from '../harness/temporary.ts'
import { until } from '../harness/until.ts'
import { DiskModel } from './disk-model.ts'
import { createRecorder, noRecorder, type Recorder } from './recorder.ts'

const long = process.env.MILLRACE_LONG === '1'
/** Power cuts in one recording. */
const cuts = long ? 100 : 4
const lives = 3
/** How long the recorded server works in one life. */
const workMs = 600
const writers = 4
const namespace = 'power'
const client = { namespace, circuitBreaker: false, retry: false, logger: { debug() {}, info() {}, warn() {}, error() {} } } as const
const nothing = 'nothing'

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('the power fails while objects are written, replaced and deleted', () => {
  test.for([
    ['what was acknowledged is on the disk', 20_261_123, undefined],
    ['the same when every seventh sync fails: no false acknowledgement', 20_261_124, 7],
  ] as const)(`${cuts} times: %s`, { timeout: 60_000 + cuts * 6000 }, async ([, seed, failSync], { skip }) => {
    if (noRecorder) skip(noRecorder)
    const random = createRandom(testSeed(seed))
    using recorder = createRecorder(failSync)
    const refused = await work(recorder, random)
    if (failSync !== undefined) expect(refused).toBeGreaterThan(0)
    await checkCuts(recorder, random)
  })
})

/** A disk that fails its syncs may fail the very start, or the first calls; they are tried until they work. */
async function startRecorded(recorder: Recorder): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServer({ data: recorder.folder, env: recorder.env })
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

/** Has a recorded server change objects, over several lives. Returns how many calls it refused. */
async function work(recorder: Recorder, random: Random): Promise<number> {
  await using server = await startRecorded(recorder)
  let refused = 0
  for (let life = 0; life < lives; life++) {
    if (life > 0) await server.restart()
    await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key, ...client })
    const bucket = mr.bucket('cut')
    await until('there is a bucket', () =>
      bucket.list().then(
        () => true,
        () => bucket.create(),
      ),
    )
    const end = Date.now() + workMs
    const write = async (writer: number) => {
      while (Date.now() < end) {
        const key = `${writer}/${random.int(1, 8)}`
        const body = random.next() < 0.7 ? randomBytes(random.pick([1, 5000, 200_000])) : undefined
        const content = body ? sha256Of(body) : nothing
        recorder.remark('perhaps', `${key} ${content}`)
        try {
          await (body ? bucket.put(key, body) : bucket.delete(key))
          recorder.remark('surely', `${key} ${content}`)
        } catch {
          refused++
        }
        await sleep(random.int(0, 5))
      }
    }
    await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
    if (random.next() < 0.5) await server.kill()
    else await server.stop()
  }
  return refused
}

/** Starts a server on what the disk held at random moments of the record. */
async function checkCuts(recorder: Recorder, random: Random): Promise<void> {
  const entries = [...recorder.entries()]
  const moments = Array.from({ length: cuts }, () => random.int(0, entries.length)).sort((a, b) => a - b)
  const disk = new DiskModel(recorder.folder, random)
  /** What a key may have: what was acknowledged last, and what was asked for since. */
  const allowed = new Map<string, Set<string>>()
  let at = 0
  for (const moment of moments) {
    for (; at < moment; at++) {
      const entry = entries[at]!
      if (entry.kind !== 'A') {
        disk.apply(entry)
        continue
      }
      const [key, content] = entry.data.toString().split(' ') as [string, string]
      if (entry.path === 'surely') allowed.set(key, new Set([content]))
      else allowed.set(key, (allowed.get(key) ?? new Set([nothing])).add(content))
    }
    const folder = temporaryFolder()
    disk.write(folder)
    await checkServer(folder, allowed, `${moment} of ${entries.length}`)
    removeFolder(folder)
  }
  console.log(`${cuts} cuts in ${entries.length} writes and syncs; ${allowed.size} keys`)
  expect(allowed.size).toBeGreaterThan(0)
}

async function checkServer(folder: string, allowed: ReadonlyMap<string, ReadonlySet<string>>, moment: string): Promise<void> {
  await using server = await startServer({ data: folder })
  await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key, ...client })
  const bucket = mr.bucket('cut')
  for (const [key, contents] of allowed) {
    const content = await read(bucket, key)
    expect([...contents], `${key}, when the power fails at ${moment}`).toContain(content)
  }
}

async function read(bucket: Bucket, key: string): Promise<string> {
  try {
    return sha256Of(await (await bucket.get(key)).bytes())
  } catch (error) {
    if (error instanceof NotFoundError) return nothing
    throw error
  }
}
