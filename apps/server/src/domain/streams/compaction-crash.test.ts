import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openTestServer } from '../../store/postgres/test-database.ts'
import { compactAfterMs, removalKeptMs } from '../../store/stream-compaction.ts'
import { type Acknowledged, openAt } from '../../testing/compaction-writer.ts'

const postgres = await openTestServer()
const kills = process.env.MILLRACE_LONG === '1' ? 200 : 6
const writer = fileURLToPath(new URL('../../testing/compaction-writer.ts', import.meta.url))

interface Found extends Pick<Acknowledged, 'key' | 'text'> {
  readonly at: number
}

test.for(['sqlite', 'postgres'] as const)(
  `${kills} kills while a stream is compacted, %s: the newest of each key is there, at its offset`,
  {
    timeout: 60_000 + kills * 5000,
  },
  async (engine, { skip }) => {
    if (engine === 'postgres' && postgres.missing) skip(postgres.missing)
    const place = engine === 'sqlite' ? sqliteFile() : await postgresUrl()
    const acknowledged = new Map<number, Acknowledged>()
    let now = Date.UTC(2030, 0, 1)
    for (let i = 0; i < kills; i++) {
      now = await writeAndDie(place, now, `${i}`, 20 + ((i * 37) % 90), i % 7, acknowledged)
      now += (i % 3) * 1000 * 3600
      check(await readAll(place, now, false), acknowledged, now)
    }
    const rest = await readAll(place, now + compactAfterMs, true)
    check(rest, acknowledged, now + compactAfterMs)
    const keys = [...rest.values()].map(({ key }) => key).filter((key) => key !== '')
    expect(keys.toSorted(), 'compaction leaves one message a key').toEqual([...new Set(keys)].sort())
    expect(acknowledged.size).toBeGreaterThan(kills * 15)
    expect(rest.size).toBeLessThan(acknowledged.size / 2)
  },
)

function sqliteFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-compaction-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, 'store.sqlite')
}

async function postgresUrl(): Promise<string> {
  const database = await postgres.create()
  onTestFinished(() => database.drop())
  return database.url
}

/** Runs a writer that is killed after so many lines and milliseconds. @returns its time then. */
async function writeAndDie(
  place: string,
  start: number,
  name: string,
  lines: number,
  ms: number,
  acknowledged: Map<number, Acknowledged>,
): Promise<number> {
  const flags = ['--conditions=millrace-source', '--disable-warning=ExperimentalWarning']
  const child = spawn(process.execPath, [...flags, writer, place, String(start), name], { stdio: ['ignore', 'pipe', 'inherit'] })
  let now = start
  let count = 0
  // What it said before it died counts, also when it is read afterwards.
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as Acknowledged | { readonly now: number }
    if ('now' in said) now = said.now
    else acknowledged.set(said.offset, said)
    if (++count === lines) void sleep(ms).then(() => child.kill('SIGKILL'))
  }
  expect(count, 'the writer died by itself').toBeGreaterThanOrEqual(lines)
  return now
}

/** All messages by offset. @param compacted - after compaction has done all that is due. */
async function readAll(place: string, now: number, compacted: boolean): Promise<Map<number, Found>> {
  const { store, scope } = await openAt(place, () => now)
  try {
    while (compacted && (await store.streams.trim(now, 50)) > 0);
    const found = new Map<number, Found>()
    for (let offset = 0; ; ) {
      const { slices, next } = await store.streams.read(scope, 's', 0, { offset, maxMessages: 1000, maxBytes: 1 << 20 })
      if (slices.length === 0) return found
      for (const { firstOffset, timestamp, messages } of slices)
        for (const [i, { key, payload }] of messages.entries())
          found.set(firstOffset + i, { key, text: Buffer.from(payload).toString(), at: timestamp })
      offset = next
    }
  } finally {
    await store.close()
  }
}

/** Whatever is not there was replaced by something newer that is, or removed its key long ago; what is there is what was written. */
function check(found: ReadonlyMap<number, Found>, acknowledged: ReadonlyMap<number, Acknowledged>, now: number): void {
  const newest = new Map<string, number>()
  for (const [offset, { key }] of found) newest.set(key, offset)
  for (const [offset, { key, text, at }] of acknowledged) {
    const there = found.get(offset)
    if (there) expect(there, `message ${offset}`).toEqual({ key, text, at })
    else {
      const replaced = key !== '' && (newest.get(key) ?? -1) > offset
      const removed =
        key !== '' && [...acknowledged.values()].some((each) => each.key === key && each.offset >= offset && isOver(each, now))
      expect(replaced || removed, `message ${offset} of key '${key}' is gone`).toBe(true)
    }
  }
  for (const [offset, message] of found)
    expect(message.text === '' || /^\d+-\d+-\d+$/.test(message.text), `message ${offset} was never written`).toBe(true)
}

/** True for a message that removed its key, and has gone itself since. */
function isOver({ text, at }: Acknowledged, now: number): boolean {
  return text === '' && at + removalKeptMs <= now
}
