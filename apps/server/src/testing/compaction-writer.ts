// Run by compaction-crash.test.ts, and killed by it: writes to a compacted stream and compacts it bit by bit, on a time of its own.
// Each line on standard output is a message that was acknowledged, or the time.

import { defaultRetryPolicy, retryPlanner } from '../domain/jobs/retry.ts'
import { openPostgresStore } from '../store/postgres/open.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'

/** A message that was acknowledged. */
export interface Acknowledged {
  readonly offset: number
  readonly key: string
  /** Different for each; '' removes the key. */
  readonly text: string
  readonly at: number
}

/** Opens the store at a path or URL, at a time. */
export async function openAt(place: string, now: () => number) {
  const options = { planRetry: retryPlanner(), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 1000, now }
  const store = await (place.startsWith('postgres')
    ? openPostgresStore({ ...options, url: place })
    : openSqliteStore({ ...options, path: place }))
  return { store, scope: { tenant: await store.keys.tenant('t', now()), namespace: 'n' } }
}

if (import.meta.main) {
  const [place = '', start = '', name = ''] = process.argv.slice(2)
  let now = Number(start)
  const { store, scope } = await openAt(place, () => now)
  await store.streams.put(scope, 's', { compaction: true }, now)
  for (let n = 0; ; n++) {
    const count = 1 + (n % 4)
    const messages = Array.from({ length: count }, (_, i) => {
      const key = ['a', 'b', 'c', 'd', 'e', ''][(n * 7 + i * 5 + (n % 3)) % 6]!
      const text = key !== '' && (n + i) % 11 === 0 ? '' : `${name}-${n}-${i}`
      return { payload: Buffer.from(text), contentType: '', headers: {}, key, text }
    })
    const at = now
    const batches = [{ messages }]
    const [outcome] = await store.streams.write({ scope, stream: 's', batches, requestId: '', now })
    if (!outcome || !('offsets' in outcome)) throw new Error('nothing was written')
    for (const [i, { key, text }] of messages.entries()) {
      console.log(JSON.stringify({ offset: outcome.offsets[i], key, text, at } satisfies Partial<Acknowledged>))
    }
    now += 1000 * (1 + ((n * 13) % 40))
    console.log(JSON.stringify({ now }))
    await store.streams.trim(now, 3)
  }
}
