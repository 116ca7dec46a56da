import type * as wire from '@millrace/protocol'
import { Coalescer } from '../calls/coalescer.ts'
import type { ClientContext } from '../context.ts'
import { refusalOf } from '../errors/to-error.ts'
import { createRequestId } from '../ids.ts'

/** Lets concurrent writes of keys travel together. Groups are stores; writes of one group are carried out in order. */
export function createKvWriter({ caller, clock }: ClientContext): Coalescer<wire.EntryWrite, wire.EntryWriteResult, wire.EntryWriteResult> {
  return new Coalescer<wire.EntryWrite, wire.EntryWriteResult, wire.EntryWriteResult>({
    clock,
    // One after the other, so that a later write never comes first.
    maxInFlight: 1,
    refusal: refusalOf,
    value: (result) => result,
    async send(store, writes, timeoutMs) {
      const request = { store, writes: writes as wire.EntryWrite[], requestId: createRequestId(clock.now()), allowPartial: true }
      return (await caller.unary('KvService/WriteEntries', request, { safe: true, timeoutMs })).results
    },
  })
}

/** Lets concurrent reads of keys travel together. Groups are stores. */
export function createKvReader({ caller, clock }: ClientContext): Coalescer<string, wire.ReadEntryResult, wire.Entry | undefined> {
  return new Coalescer<string, wire.ReadEntryResult, wire.Entry | undefined>({
    clock,
    refusal: refusalOf,
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
  })
}
