import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { type Bucket, Millrace } from '@millrace/client'
import { machineFacts, makeDataDir } from './machine.ts'
import { forgetPeakRss, processUsage } from './process-usage.ts'
import { startProfile } from './profile.ts'
import { median } from './statistics.ts'
import { type MillraceServer, startMillrace } from './systems/millrace-server.ts'
import { describeMachine } from './table.ts'

const help = `Measures objects: put and get through the client and the server beside writing, syncing and reading the same files in this process.

  pnpm bench:objects [--large MIB] [--rounds N] [--cpu-prof] [--sources] [--dir PATH]

  --large MIB  size of the large object (default 1024)
  --rounds N   rounds; medians are shown (default 3)
  --cpu-prof   CPU profiles of the server and of this process in the folder profiles, of the large object over gRPC alone
  --sources    Millrace from its TypeScript sources instead of its build
  --dir PATH   where servers keep their data
`

const kibibyte = 1024
const mebibyte = 1024 ** 2
const chunkBytes = mebibyte

/** Where bytes are kept, and read from again. */
interface Place {
  readonly title: string
  put(key: string, bytes: AsyncIterable<Uint8Array>): Promise<unknown>
  /** Reads all of it; resolves with how many bytes came. */
  get(key: string): Promise<number>
}

/** Bytes that are nowhere else: equal bytes would be kept once. */
async function* fresh(size: number): AsyncGenerator<Uint8Array> {
  const block = randomBytes(Math.min(size, chunkBytes))
  for (let left = size; left > 0; left -= block.length) {
    // A chunk that was handed out is the receiver's until it has been sent.
    const chunk = Buffer.from(block.subarray(0, left))
    chunk.writeUInt32LE(left % 2 ** 32, 0)
    yield chunk
  }
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of source) bytes += chunk.length
  return bytes
}

function throughClient(bucket: Bucket): Place {
  return { title: 'gRPC', put: (key, bytes) => bucket.put(key, bytes), get: async (key) => drain(await bucket.get(key)) }
}

function overHttp({ http, address }: MillraceServer): Place {
  const [hostname, port] = http.split(':')
  const call = (method: string, key: string) =>
    request({ hostname, port, method, path: `/v1/buckets/bench/objects/${key}`, headers: { 'x-api-key': address.apiKey } })
  const answerOf = (sent: ReturnType<typeof call>) =>
    new Promise<Readable>((resolve, reject) => {
      sent.on('error', reject).on('response', (answer) => {
        if (answer.statusCode === 200) resolve(answer)
        else reject(new Error(`HTTP ${answer.statusCode}`))
      })
    })
  return {
    title: 'HTTP',
    async put(key, bytes) {
      const sent = call('PUT', key)
      const answer = answerOf(sent)
      await pipeline(Readable.from(bytes, { objectMode: false }), sent)
      await drain(await answer)
    },
    async get(key) {
      const sent = call('GET', key)
      sent.end()
      return drain(await answerOf(sent))
    },
  }
}

function directly(folder: string): Place {
  mkdirSync(folder)
  return {
    title: 'file',
    async put(key, bytes) {
      const file = await open(join(folder, key), 'wx')
      for await (const chunk of bytes) await file.write(chunk)
      await file.datasync()
      await file.close()
    },
    async get(key) {
      const file = await open(join(folder, key))
      return drain(file.createReadStream({ highWaterMark: chunkBytes }))
    },
  }
}

/** So many objects of a size, so many at a time. */
interface Work {
  readonly title: string
  readonly size: number
  readonly count: number
  readonly atOnce: number
}

/** What was found of one kind of call. */
interface Figures {
  /** Calls a second. */
  readonly rate: number
  /** Seconds of CPU for each call. */
  readonly serverCpu: number
  readonly clientCpu: number
}

/** Puts and gets. */
async function measure(
  { pid }: MillraceServer,
  place: Place,
  { title, size, count, atOnce }: Work,
  round: number,
): Promise<{ readonly put: Figures; readonly get: Figures }> {
  const keys = Array.from({ length: count }, (_, i) => `${title}-${round}-${i}`.replaceAll(/[^\w]/g, '-'))
  const figures = async (work: (key: string) => Promise<unknown>): Promise<Figures> => {
    const waiting = keys.values()
    const begun = performance.now()
    const [server, own] = [processUsage(pid).cpu, process.cpuUsage()]
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const key of waiting) await work(key)
      }),
    )
    const { user, system } = process.cpuUsage(own)
    return {
      rate: (count * 1000) / (performance.now() - begun),
      serverCpu: (processUsage(pid).cpu - server) / count,
      clientCpu: (user + system) / 1e6 / count,
    }
  }
  const put = await figures((key) => place.put(key, fresh(size)))
  const get = await figures(async (key) => {
    const bytes = await place.get(key)
    if (bytes !== size) throw new Error(`${place.title}: ${bytes} bytes of ${key} came, not ${size}`)
  })
  return { put, get }
}

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      large: { type: 'string', default: '1024' },
      rounds: { type: 'string', default: '3' },
      'cpu-prof': { type: 'boolean', default: false },
      sources: { type: 'boolean', default: false },
      dir: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(help)
  const parentDir = makeDataDir(values.dir)
  process.once('exit', () => rmSync(parentDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  console.log(describeMachine(machineFacts(parentDir)))
  const large: Work = { title: `${values.large} MiB`, size: Number(values.large) * mebibyte, count: 1, atOnce: 1 }
  const profiles = new URL('../profiles/', import.meta.url).pathname
  mkdirSync(profiles, { recursive: true })
  const profileFile = values['cpu-prof'] ? join(profiles, 'objects-server.cpuprofile') : undefined
  await using server = await startMillrace({ parentDir, sources: values.sources, ...(profileFile && { profileFile }) })
  await using mr = new Millrace(server.address)
  const bucket = mr.bucket('bench')
  await bucket.create()
  const places = [throughClient(bucket), overHttp(server), directly(join(parentDir, 'direct'))]

  if (values['cpu-prof']) {
    const stop = await startProfile()
    process.kill(server.pid, 'SIGUSR2')
    console.log(await measure(server, places[0]!, large, 0))
    process.kill(server.pid, 'SIGUSR2')
    await stop(join(profiles, 'objects-client.cpuprofile'))
    return
  }

  const works: readonly Work[] = [
    { title: '1 KiB, one at a time', size: kibibyte, count: 500, atOnce: 1 },
    { title: '1 KiB, 16 at a time', size: kibibyte, count: 2000, atOnce: 16 },
    { title: '1 MiB, one at a time', size: mebibyte, count: 100, atOnce: 1 },
    { title: '1 MiB, 16 at a time', size: mebibyte, count: 200, atOnce: 16 },
    large,
  ]
  const found = new Map<string, Figures[]>()
  const note = (name: string, figures: Figures) => found.set(name, [...(found.get(name) ?? []), figures])
  const shown = (name: string, figure: keyof Figures) => median(found.get(name)!.map((figures) => figures[figure]))
  for (const place of places) await measure(server, place, { title: 'warm', size: kibibyte, count: 200, atOnce: 4 }, 0)
  const before = processUsage(server.pid).rss
  const peaks = new Map<string, number>()
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const work of works) {
      for (const place of places) {
        forgetPeakRss(server.pid)
        const { put, get } = await measure(server, place, work, round)
        const name = `${work.title}, ${place.title}`
        if (place.title !== 'file') peaks.set(name, Math.max(peaks.get(name) ?? 0, processUsage(server.pid).peakRss))
        note(`${work.title} ${place.title} put`, put)
        note(`${work.title} ${place.title} get`, get)
      }
    }
    console.error(`  round ${round + 1}`)
    for (let more = true; more; ) {
      const { items } = await bucket.list({ limit: 1000 })
      if (items.length > 0) await bucket.delete(items.map(({ key }) => key))
      more = items.length === 1000
    }
    rmSync(join(parentDir, 'direct'), { recursive: true })
    mkdirSync(join(parentDir, 'direct'))
  }
  console.log(`\nMedians of ${values.rounds} rounds\n`)
  const titles = places.flatMap(({ title }) => [`put ${title}`, `get ${title}`])
  console.log(`| | ${titles.join(' | ')} |\n|---|${titles.map(() => '---|').join('')}`)
  for (const { title, size } of works) {
    const cells = places.flatMap((place) => ['put', 'get'].map((what) => show(shown(`${title} ${place.title} ${what}`, 'rate'), size)))
    console.log(`| ${title} | ${cells.join(' | ')} |`)
  }
  const cpu = (place: Place, what: string) =>
    (['serverCpu', 'clientCpu'] as const).map((side) => shown(`${large.title} ${place.title} ${what}`, side).toFixed(1)).join(' / ')
  const used = places.flatMap((place) => ['put', 'get'].map((what) => `${what} ${place.title} ${cpu(place, what)}`))
  console.log(`\nSeconds of CPU for the large object, server / this process: ${used.join(', ')}`)
  const mib = (bytes: number) => `${Math.round(bytes / mebibyte)} MiB`
  const most = [...peaks].map(([name, bytes]) => `${mib(bytes)} with ${name}`)
  console.log(`\nMemory of the server: ${mib(before)} before; at most ${most.join('; ')}`)
}

function show(rate: number, size: number): string {
  return size < mebibyte ? `${Math.round(rate).toLocaleString('en')}/s` : `${Math.round((rate * size) / 1e6)} MB/s`
}

await bench()
