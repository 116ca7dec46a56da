import type { StreamMessage, StreamSlice } from './stream-port.ts'

/** How long a message is there beside the one that replaced it, at least: whoever reads near the end sees everything. */
export const compactAfterMs = 60_000
/** How long a message that removes its key is kept, at least, so that whoever reads sees it. */
export const removalKeptMs = 24 * 60 * 60 * 1000

/** The newest message of a key. */
export interface KeyState {
  readonly offset: number
  /** When it goes itself; null when it stays. */
  readonly dueAt: number | null
}

/** What becomes of keys, and which messages go. */
export interface Compaction {
  readonly keys: ReadonlyMap<string, KeyState>
  readonly removed: readonly number[]
}

/** Keys of messages that are looked at. */
export function keysOf(slices: readonly StreamSlice[]): string[] {
  return [...new Set(slices.flatMap(({ messages }) => messages.flatMap(({ key }) => (key === '' ? [] : [key]))))]
}

/**
 * Looks at messages in order: each takes the place of the one before it with the same key.
 *
 * @param known - the newest message of each key before them.
 */
export function compact(slices: readonly StreamSlice[], known: ReadonlyMap<string, number>): Compaction {
  const keys = new Map<string, KeyState>()
  const removed: number[] = []
  for (const { firstOffset, timestamp, messages } of slices) {
    for (const [i, message] of messages.entries()) {
      if (message.key === '') continue
      const before = keys.get(message.key)?.offset ?? known.get(message.key)
      if (before !== undefined) removed.push(before)
      keys.set(message.key, { offset: firstOffset + i, dueAt: removesKey(message) ? timestamp + removalKeptMs : null })
    }
  }
  return { keys, removed }
}

/** True for a message of nothing, which says that its key is no more. */
function removesKey({ payload, contentType }: StreamMessage): boolean {
  if (payload.length === 0) return true
  const isJson = contentType === '' || contentType === 'application/json'
  return isJson && payload.length === 4 && Buffer.from(payload.buffer, payload.byteOffset, 4).toString('latin1') === 'null'
}
