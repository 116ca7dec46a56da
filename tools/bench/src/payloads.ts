import type { Payload } from './systems/client.ts'

/** Makes payloads numbered from 0, each of about `bytes` bytes as JSON. */
export function payloadSource(bytes: number): () => Payload {
  const overhead = JSON.stringify({ i: 100_000, data: '' }).length
  const data = 'x'.repeat(bytes - overhead)
  let next = 0
  return () => ({ i: next++, data })
}

/** Remembers which of `count` jobs were seen. */
export function tally(count: number) {
  const seen = new Uint8Array(count)
  let distinct = 0
  let calls = 0
  return {
    see(payload: Payload): void {
      calls++
      if (seen[payload.i] === 0) distinct++
      seen[payload.i] = 1
    },
    /** What was wrong; empty when each was seen exactly once. */
    problems(): string[] {
      if (distinct === count && calls === count) return []
      return [`handlers saw ${distinct} of ${count} jobs in ${calls} calls`]
    },
  }
}
