import type { WatchEntriesResponse } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { deletionsKeptMs } from '../src/domain/kv/engine.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { type Clients, startTestServer } from './harness.ts'

const set = (kv: Clients['kv'], key: string, ttlMs = 0) =>
  kv.setEntry({ store: 's', key, value: Buffer.from('1'), contentType: '', ttlMs, ifRevision: undefined, ifAbsent: false, requestId: '' })

/** Reads a watch message by message. */
function watch(kv: Clients['kv'], afterRevision: number | undefined, prefix = '') {
  const stream = kv.watchEntries({ store: 's', prefix, afterRevision })[Symbol.asyncIterator]()
  const show = ({ changes, reset, live }: WatchEntriesResponse) => ({
    changes: changes.map(({ type, entry }) => `${type} ${entry!.key}`),
    reset,
    live,
  })
  return {
    next: async () => show((await stream.next()).value as WatchEntriesResponse),
    close: () => stream.return!(),
  }
}

describe('keys and values over time', () => {
  it('a watch hears of an expired key when its time is over, without anybody asking', async () => {
    const clock = new ManualClock(Date.now())
    const { admin } = await startTestServer({}, clock)
    await set(admin.kv, 'a', 1000)
    const changes = watch(admin.kv, undefined)
    expect(await changes.next()).toEqual({ changes: [], reset: false, live: true })
    await clock.advance(999)
    await set(admin.kv, 'b')
    expect(await changes.next()).toMatchObject({ changes: ['1 b'] })
    await clock.advance(1)
    expect(await changes.next()).toMatchObject({ changes: ['3 a'] })
    await changes.close()
  })

  it('a watch from the beginning gives what is there, then says that it is live', async () => {
    const { admin } = await startTestServer()
    for (let i = 0; i < 1200; i++) void set(admin.kv, `k${i % 600}`)
    await set(admin.kv, 'last')
    const changes = watch(admin.kv, 0)
    const seen: string[] = []
    for (;;) {
      const message = await changes.next()
      seen.push(...message.changes)
      if (message.live) break
    }
    expect(seen).toHaveLength(601)
    expect(seen.at(-1)).toBe('1 last')
    await changes.close()
  })

  it('a watch that was away for longer than deletions are kept begins anew, and says so', async () => {
    const clock = new ManualClock(Date.now())
    const { admin } = await startTestServer({}, clock)
    await set(admin.kv, 'a')
    await set(admin.kv, 'b')
    await admin.kv.deleteEntry({ store: 's', key: 'a', ifRevision: undefined, requestId: '' })
    const kept = watch(admin.kv, 2)
    expect(await kept.next()).toEqual({ changes: ['2 a'], reset: false, live: true })
    await clock.advance(deletionsKeptMs + 120_000)
    await set(admin.kv, 'c')
    const late = watch(admin.kv, 2)
    expect(await late.next()).toMatchObject({ changes: [], reset: true })
    expect(await late.next()).toEqual({ changes: ['1 b', '1 c'], reset: false, live: true })
    // Who was there the whole time missed nothing.
    expect(await kept.next()).toMatchObject({ changes: ['1 c'], reset: false })
    await Promise.all([kept.close(), late.close()])
  })

  it('a watch from the beginning comes to its end in a store whose deletions are long forgotten', async () => {
    const clock = new ManualClock(Date.now())
    const { admin } = await startTestServer({}, clock)
    for (let i = 0; i < 600; i++) void set(admin.kv, `k${i}`)
    await set(admin.kv, 'gone')
    await admin.kv.deleteEntry({ store: 's', key: 'gone', ifRevision: undefined, requestId: '' })
    await clock.advance(deletionsKeptMs + 120_000)
    for (const after of [0, 300]) {
      const changes = watch(admin.kv, after)
      let told = 0
      for (let messages = 0; ; messages++) {
        expect(messages).toBeLessThan(10)
        const message = await changes.next()
        told = message.reset ? 0 : told + message.changes.length
        if (message.live) break
      }
      expect(told).toBe(600)
      await changes.close()
    }
  })

  it('a watch that knows more than the store, as after a copy was restored, begins anew', async () => {
    const { admin } = await startTestServer()
    await set(admin.kv, 'a')
    const changes = watch(admin.kv, 9)
    expect(await changes.next()).toEqual({ changes: [], reset: true, live: false })
    expect(await changes.next()).toEqual({ changes: ['1 a'], reset: false, live: true })
    await set(admin.kv, 'b')
    expect(await changes.next()).toMatchObject({ changes: ['1 b'] })
    await changes.close()
  })

  it('a watch of one key among many does not look through the others', async () => {
    const { admin } = await startTestServer()
    for (let i = 0; i < 600; i++) void set(admin.kv, `k${i}`)
    await set(admin.kv, 'seldom')
    const changes = watch(admin.kv, 0, 'seldom')
    // Who came to it by way of the others would be at the end of all now.
    expect(await changes.next()).toEqual({ changes: ['1 seldom'], reset: false, live: false })
    expect(await changes.next()).toEqual({ changes: [], reset: false, live: true })
    await set(admin.kv, 'seldom')
    expect(await changes.next()).toEqual({ changes: ['1 seldom'], reset: false, live: true })
    await changes.close()
  })

  it('a watch of a prefix from the beginning tells of changes made meanwhile once, after what was there', async () => {
    const { admin } = await startTestServer()
    for (let i = 0; i < 20; i++) await set(admin.kv, `p${i}`)
    const changes = watch(admin.kv, 0, 'p')
    const first = changes.next()
    for (let i = 0; i < 20; i += 2) void set(admin.kv, `p${i}`)
    await admin.kv.deleteEntry({ store: 's', key: 'p1', ifRevision: undefined, requestId: '' })
    const told = [...(await first).changes]
    while (!told.includes('2 p1')) told.push(...(await changes.next()).changes)
    const last = new Map(told.map((text) => [text.slice(2), text[0]]))
    expect([...last].filter(([, type]) => type === '1')).toHaveLength(19)
    await changes.close()
  })
})
