import { Account } from '@millrace/core/adapter'
import { getQuotas, getRateLimit } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.account`: the limits of the client's key and its tenant. */
export const account: Resource<Account> = { routes: [getQuotas, getRateLimit], create: (context) => new Account(context) }
