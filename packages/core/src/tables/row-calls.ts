import type * as wire from '@millrace/protocol'
import type { UnaryCall } from '../calls/caller.ts'
import type { ClientContext } from '../context.ts'
import type { CallOptions } from '../options.ts'

/** A call that reads rows. */
export type RowRead = NonNullable<wire.RowRead['action']>
/** A call that writes rows. */
export type RowWrite = NonNullable<wire.RowWrite['action']>
/** What a call gave. */
export type RowOutcome = Pick<wire.RowResult, 'result' | 'affected'>

/** Makes calls on rows. */
export interface RowCalls {
  /** Reads rows. */
  read(read: RowRead, call: CallOptions | undefined): Promise<RowOutcome>
  /** Writes rows. Not tried again, for it may have been carried out. */
  write(write: RowWrite, call: CallOptions | undefined): Promise<RowOutcome>
}

/** What makes a client's calls on rows. */
export function rowCallsOf(context: ClientContext): RowCalls {
  const shared = context.transport.shareRowCalls?.(context)
  if (shared) return shared
  return {
    read: (read, call) => readAlone(context, read, { ...context.bounds(call), safe: true }),
    write: (write, call) => writeAlone(context, write, { ...context.bounds(call), safe: false }),
  }
}

/** Reads rows by a request of its own. */
export async function readAlone({ caller }: ClientContext, read: RowRead, call: UnaryCall): Promise<RowOutcome> {
  if (read.$case === 'select') return { ...(await caller.unary('TableService/SelectRows', read.value, call)), affected: 0 }
  return { result: undefined, affected: (await caller.unary('TableService/CountRows', read.value, call)).count }
}

/** Writes rows by a request of its own. */
export function writeAlone({ caller }: ClientContext, write: RowWrite, call: UnaryCall): Promise<RowOutcome> {
  if (write.$case === 'insert') return caller.unary('TableService/InsertRows', write.value, call)
  if (write.$case === 'update') return caller.unary('TableService/UpdateRows', write.value, call)
  return caller.unary('TableService/DeleteRows', write.value, call)
}
