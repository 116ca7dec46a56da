import type * as wire from '@millrace/protocol'
import type { Caller } from '../calls/caller.ts'
import { Coalescer } from '../calls/coalescer.ts'
import type { Clock } from '../clock.ts'
import { errorFromItem } from '../errors/to-error.ts'
import { createRequestId } from '../ids.ts'

/** Lets concurrent reads and writes of keys travel together. */
export function createKvCoalescers(caller: Caller, clock: Clock) {
  return {
    kvWriter: new Coalescer<wire.EntryWrite, wire.EntryWriteResult, wire.EntryWriteResult>({
      clock,
      // One after the other, so that a later write never comes first.
      maxInFlight: 1,
      refusal: ({ error }) => error && errorFromItem(error),
      value: (result) => result,
      async send(store, writes, timeoutMs) {
        const request = { store, writes: writes as wire.EntryWrite[], requestId: createRequestId(clock.now()), allowPartial: true }
        return (await caller.unary('KvService/WriteEntries', request, { safe: true, timeoutMs })).results
      },
    }),
    kvReader: new Coalescer<string, wire.ReadEntryResult, wire.Entry | undefined>({
      clock,
      refusal: ({ error }) => error && errorFromItem(error),
      value: ({ entry }) => entry,
      async send(store, keys, timeoutMs) {
        const all: wire.ReadEntryResult[] = []
        // Large values come in several answers.
        while (all.length < keys.length) {
          const request = { store, keys: all.length === 0 ? (keys as string[]) : keys.slice(all.length), withoutValues: false }
          const { results } = await caller.unary('KvService/ReadEntries', request, { safe: true, timeoutMs })
          if (results.length === 0) break
          all.push(...results)
        }
        return all
      },
    }),
  }
}
