import type { Duration } from '../durations.ts'
import { toMs } from '../durations.ts'
import type { TransportCall } from '../transport.ts'

/** Bounds of a call whose bytes take as long as they take: none, unless they are given. */
export function boundsOf({ timeout, signal }: { readonly timeout?: Duration; readonly signal?: AbortSignal }): TransportCall {
  return { signal, ...(timeout !== undefined && { timeoutMs: toMs('timeout', timeout) }) }
}
