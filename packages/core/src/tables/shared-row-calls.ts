import type * as wire from '@millrace/protocol'
import type { UnaryCall } from '../calls/caller.ts'
import { Coalescer } from '../calls/coalescer.ts'
import type { ClientContext } from '../context.ts'
import { AbortError, type MillraceError, unavailable } from '../errors/errors.ts'
import { errorFrom, errorFromCall } from '../errors/to-error.ts'
import type { CallOptions } from '../options.ts'
import type { RequestOf } from '../transport.ts'
import { itemOverhead } from '../wire.ts'
import { type RowCalls, type RowOutcome, type RowRead, type RowWrite, readAlone, writeAlone } from './row-calls.ts'

/** What a call gave, or a promise of it: of several that travelled together, one may take longer than the others. */
type Arrived = RowOutcome | Promise<RowOutcome>
type SharedCalls<Item> = Coalescer<Item, Arrived, RowOutcome>

/** Calls of one request, as the contract says. */
const maxItems = 256
/** How long a request is waited for before others leave meanwhile: one statement may take long. */
const patienceMs = 20

/** Makes calls that are made at the same time travel together. */
export function shareRowCalls(context: ClientContext): RowCalls {
  return {
    read: (read, call) => travel(context, context.shared(createReader), read, filterBytes(read.value.filter), call),
    write: (write, call) => travel(context, context.shared(createWriter), write, bytesOf(write), call),
  }
}

function bytesOf(write: RowWrite): number {
  if (write.$case === 'insert') return write.value.rows.length
  return filterBytes(write.value.filter) + (write.$case === 'update' ? write.value.values.length : 0)
}

function filterBytes(filter: wire.RowFilter | undefined): number {
  return filter ? filter.text.length + filter.where.length : 0
}

function travel<Item>(
  context: ClientContext,
  calls: SharedCalls<Item>,
  item: Item,
  bytes: number,
  call: CallOptions | undefined,
): Promise<RowOutcome> {
  const { timeoutMs, signal } = context.bounds(call)
  const outcome = calls.add('', item, bytes + itemOverhead, timeoutMs, signal)
  return signal ? unlessAborted(outcome, signal) : outcome
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new AbortError(signal.reason))
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function createReader(context: ClientContext): SharedCalls<RowRead> {
  const { options } = context
  return createCalls<RowRead>(context, {
    safe: true,
    alone: (read, call) => readAlone(context, read, call),
    together: (reads, call) => begin(context, 'TableService/ReadRows', { reads: reads.map((action) => ({ action })) }, call),
    // A read that met what mends by itself is made again, alone.
    mends: ({ code }) => options.retry?.retryOn.has(code) === true,
  })
}

function createWriter(context: ClientContext): SharedCalls<RowWrite> {
  return createCalls<RowWrite>(context, {
    safe: false,
    alone: (write, call) => writeAlone(context, write, call),
    together: (writes, call) => begin(context, 'TableService/WriteRows', { writes: writes.map((action) => ({ action })) }, call),
    mends: () => false,
  })
}

interface RowResults {
  readonly results: readonly wire.RowResult[]
  readonly requestId: string
}

/** A stream that has begun. */
interface BegunStream {
  readonly first: RowResults
  /** The messages after the first. */
  readonly rest: AsyncIterator<RowResults>
}

/** Makes a call with many answers; resolves with the first. */
function begin<P extends 'TableService/ReadRows' | 'TableService/WriteRows'>(
  { caller, transport }: ClientContext,
  method: P,
  request: RequestOf<P>,
  call: UnaryCall,
): Promise<BegunStream> {
  return caller.make(method, call, async (bounds) => {
    const rest: AsyncIterator<RowResults> = transport.serverStream(method, request, bounds)[Symbol.asyncIterator]()
    const { done, value } = await rest.next()
    if (done) throw unavailable(ended)
    return { first: value, rest }
  })
}

const ended = 'The server ended the stream of answers.'

interface Ways<Item> {
  readonly safe: boolean
  /** Makes one call. */
  alone(item: Item, call: UnaryCall): Promise<RowOutcome>
  /** Makes several in one request. */
  together(items: readonly Item[], call: UnaryCall): Promise<BegunStream>
  /** Whether a call that failed so is made again. */
  mends(error: MillraceError): boolean
}

function createCalls<Item>({ clock }: ClientContext, { safe, alone, together, mends }: Ways<Item>): SharedCalls<Item> {
  return new Coalescer<Item, Arrived, RowOutcome>({
    clock,
    maxItems,
    // Two, so that a slow one does not keep the next waiting.
    maxInFlight: 2,
    patienceMs,
    // One that is refused is a promise that rejects.
    refusal: () => undefined,
    value: (arrived) => arrived,
    async send(_group, items, timeoutMs) {
      const call = { safe, timeoutMs }
      if (items.length === 1) return [await alone(items[0]!, call)]
      const deadline = clock.now() + timeoutMs
      return spread(await together(items, call), items.length, async (error, i) => {
        if (!mends(error)) throw error
        return alone(items[i]!, { safe, timeoutMs: Math.max(deadline - clock.now(), 1) })
      })
    },
  })
}

/**
 * Promises of what the messages of a stream say.
 *
 * @param failed - what becomes of a call that failed.
 */
function spread(
  { first, rest }: BegunStream,
  count: number,
  failed: (error: MillraceError, i: number) => Promise<RowOutcome>,
): Promise<RowOutcome>[] {
  const open = new Map<number, (outcome: Arrived) => void>()
  const promises = Array.from({ length: count }, (_, i) => new Promise<RowOutcome>((resolve) => open.set(i, resolve)))
  // Who asked may be gone.
  for (const promise of promises) promise.catch(() => undefined)
  const settle = (i: number, outcome: Arrived) => {
    open.get(i)?.(outcome)
    open.delete(i)
  }
  const take = ({ results, requestId }: RowResults) => {
    for (const { index, result, affected, error } of results)
      settle(index, error ? failed(errorFromCall(error, requestId), index) : { result, affected })
  }
  const readOn = async () => {
    for (let next = await rest.next(); !next.done; next = await rest.next()) take(next.value)
    throw unavailable(ended)
  }
  take(first)
  readOn().catch((thrown: unknown) => {
    for (const i of [...open.keys()]) settle(i, failed(errorFrom(thrown), i))
  })
  return promises
}
