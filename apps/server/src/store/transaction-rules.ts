import { MillraceError } from '../errors.ts'
import { recall as recallWrites, remember as rememberWrites } from './stream-rules.ts'
import type { TransactionRequest, TransactionResult } from './transaction-port.ts'

/** What became of a part; throws when it was refused, which refuses them all. */
export function unlessRefused<T extends object>(part: string, field: string, outcome: T | { readonly error: MillraceError }): T {
  if ('error' in outcome) throw refusedFor(part, field, outcome.error)
  return outcome
}

/**
 * The refusal of a transaction for the sake of a part.
 *
 * @param part - its place: `kv[1]`.
 * @param field - of the part, when the refusal itself names none.
 */
export function refusedFor(part: string, field: string, error: unknown): unknown {
  if (!(error instanceof MillraceError) || error.reason === 'UNAVAILABLE') return error
  const { reason, message, fields, requiredScope, resource, id, retryAfterMs, quota } = error
  const details = { requiredScope, resource, id, retryAfterMs, quota }
  if (!fields) {
    const path = `${part}.${field}`
    return new MillraceError(reason, `${path}: ${message}`, { ...details, fields: [{ path, message }] })
  }
  const placed = fields.map((each) => ({ path: `${part}.${each.path}`, message: each.message }))
  return new MillraceError(reason, `${part}.${message}`, { ...details, fields: placed })
}

/** Under which id a transaction's answer is remembered. */
export function transactionKey({ scope, requestId }: TransactionRequest): string {
  return `transaction ${scope.namespace} ${requestId}`
}

/** An answer as text, to be remembered. */
export function remember({ streams, ...others }: TransactionResult): string {
  return JSON.stringify({ ...others, streams: rememberWrites(streams) })
}

/** The answer that {@link remember} wrote. */
export function recall(text: string): TransactionResult {
  const { streams, ...others } = JSON.parse(text) as Omit<TransactionResult, 'streams'> & { readonly streams: string }
  return { ...others, streams: recallWrites(streams) as TransactionResult['streams'] }
}
