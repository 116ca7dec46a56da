import { createHash, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bucket, NotFoundError, UnavailableError } from '@millrace/client'
import { startS3 } from '@millrace/dev'
import { describe, expect, onTestFinished, test } from 'vitest'
import { clockOf } from '../cluster/nodes.ts'
import { clientOf } from '../harness/fixture.ts'
import { createRandom, type Random, testSeed } from '../harness/random.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/until.ts'

const long = process.env.MILLRACE_LONG === '1'
const kibibyte = 1024
const mebibyte = 1024 ** 2
const writers = 4
const keysEach = 6
const dayMs = 24 * 3_600_000

/** The SHA-256 of what a key has; undefined: nothing. */
type Content = string | undefined

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** What may be there: what was acknowledged last, and what was asked for since. */
class Expected {
  readonly #keys = new Map<string, Set<Content>>()
  /** Parts of each content: what is kept for it. */
  readonly #parts = new Map<string, number>()

  /** Makes a change of keys, and takes note of it: whether it was acknowledged. */
  async change(changes: ReadonlyMap<string, Content>, call: () => Promise<unknown>): Promise<void> {
    for (const [key, content] of changes) this.of(key).add(content)
    await call()
    for (const [key, content] of changes) this.#keys.set(key, new Set([content]))
  }

  of(key: string): Set<Content> {
    const there = this.#keys.get(key) ?? new Set([undefined])
    this.#keys.set(key, there)
    return there
  }

  isMade(bytes: Uint8Array, parts: number): string {
    const content = sha256Of(bytes)
    this.#parts.set(content, parts)
    return content
  }

  /** Looks at every key; what is there is what is expected from now on. */
  async verify(bucket: Bucket): Promise<void> {
    for (const [key, allowed] of this.#keys) {
      const content = await read(bucket, key)
      expect([...allowed], `${key} has ${content}`).toContain(content)
      this.#keys.set(key, new Set([content]))
    }
  }

  /** How many blobs the keys need. */
  get blobs(): number {
    const contents = new Set([...this.#keys.values()].flatMap((allowed) => [...allowed]))
    return [...contents].reduce((sum, content) => sum + (content === undefined ? 0 : this.#parts.get(content)!), 0)
  }
}

async function read(bucket: Bucket, key: string): Promise<Content> {
  try {
    return sha256Of(await (await bucket.get(key)).bytes())
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

/** One change of a writer's own keys. */
async function changeSomething(bucket: Bucket, keys: readonly string[], expected: Expected, random: Random): Promise<void> {
  const bytes = (most: number) => randomBytes(random.int(1, most))
  const [from, to] = [random.pick(keys), random.pick(keys)]
  const one = (content: Content) => new Map([[to, content]])
  const kind = random.int(1, 20)
  if (kind <= 10) {
    const body = bytes(kind === 1 ? 20 * mebibyte : kind <= 3 ? mebibyte : 64 * kibibyte)
    await expected.change(one(expected.isMade(body, 1)), () => bucket.put(to, body))
  } else if (kind <= 13) {
    await expected.change(one(undefined), () => bucket.delete(to))
  } else if (kind <= 16) {
    const [content] = expected.of(from)
    if (content === undefined || from === to) return
    const isMove = kind === 16
    const changes = new Map(isMove ? [[from, undefined] as const, [to, content] as const] : [[to, content] as const])
    await expected.change(changes, () => (isMove ? bucket.move(from, to) : bucket.copy(from, to)))
  } else {
    const parts = [bytes(mebibyte), bytes(64 * kibibyte), bytes(100)]
    const upload = await bucket.createUpload(to)
    await upload.put(3, bytes(100)) // put again below
    await Promise.all(parts.map((part, i) => upload.put(i + 1, part)))
    const content = expected.isMade(Buffer.concat(parts), parts.length)
    if (kind === 17) await upload.abort()
    else if (kind > 18) await expected.change(one(content), () => upload.complete())
  }
}

const places = [
  {
    name: 'disk',
    kills: Number(process.env.MILLRACE_KILLS ?? (long ? 100 : 6)),
    async open() {
      const names = (data: string) => readdirSync(join(data, 'objects'), { recursive: true, withFileTypes: true })
      return { flags: [], env: {}, kept: (data: string) => names(data).filter((entry) => entry.isFile()).length }
    },
  },
  {
    name: 's3',
    kills: Number(process.env.MILLRACE_KILLS ?? (long ? 30 : 3)),
    async open() {
      const s3 = await startS3()
      onTestFinished(() => s3.stop())
      const kept = () =>
        readdirSync(s3.dir, { recursive: true, encoding: 'utf8' }).filter((path) => /_object$|_uploads\/./.test(path)).length
      return { flags: ['--objects', s3.url], env: s3.env, kept }
    },
  },
]

describe.each(places)('$name', ({ kills, open }) => {
  test(`${kills} kills: no object is torn, none that was acknowledged is lost, and no bytes are left that nobody needs`, {
    timeout: 120_000 + kills * 15_000,
  }, async () => {
    const random = createRandom(testSeed())
    const { flags, env, kept } = await open()
    await using server = await startServer({ flags: ['--log-level', 'warn', ...flags], env })
    const options = { retry: false, circuitBreaker: false, timeout: '30s', namespace: 'crash' } as const
    const bucket = clientOf(server, options).bucket('crash')
    await bucket.create()
    const expected = new Expected()
    let acknowledged = 0
    const write = async (writer: number): Promise<void> => {
      const keys = Array.from({ length: keysEach }, (_, i) => `writer ${writer}/${i}`)
      try {
        for (;;) {
          await changeSomething(bucket, keys, expected, random)
          acknowledged++
        }
      } catch (error) {
        // The kill: what was on its way may or may not have been done.
        if (!(error instanceof UnavailableError)) throw error
      }
    }

    for (let i = 0; i < kills; i++) {
      const before = acknowledged
      const writing = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
      await until('some writes are acknowledged', () => acknowledged > before + 3, { within: 30_000 })
      await sleep(random.int(0, 700))
      await server.kill()
      await writing
      await server.restart()
      await expected.verify(bucket)
    }
    expect(expected.blobs).toBeGreaterThan(0)

    await server.kill()
    const at = (days: number) => ({
      data: server.data,
      flags: ['--log-level', 'warn', ...flags],
      env: { ...env, ...clockOf(days * dayMs) },
    })
    {
      // Uploads that nobody completed end; a quarter of an hour later nobody reads what they had.
      await using weekLater = await startServer(at(8))
      const uploads = () => clientOf(weekLater, options).bucket('crash').uploads()
      await until('uploads are forgotten', async () => (await uploads()).items.length === 0)
    }
    await using later = await startServer(at(9))
    await until('what nobody needs is gone', () => kept(server.data) <= expected.blobs, { within: 30_000 })
    await expected.verify(clientOf(later, options).bucket('crash'))
    expect(kept(server.data)).toBe(expected.blobs)
  })
})
