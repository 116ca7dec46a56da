import { Tokens } from '@millrace/core/adapter'
import { createToken } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.tokens`: short-lived tokens. */
export const tokens: Resource<Tokens> = { routes: [createToken], create: (context) => new Tokens(context) }
