import type { TransactionOptions, TransactionParts, TransactionResult } from '@millrace/core'
import { writeTransaction as write } from '@millrace/core/adapter'
import { writeTransaction as route } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.writeTransaction(parts)`: changes of streams, queues, keys and groups, all or none. */
export const writeTransaction: Resource<(parts: TransactionParts, options?: TransactionOptions) => Promise<TransactionResult>> = {
  routes: [route],
  create: (context) => (parts, options) => write(context, parts, options),
}
