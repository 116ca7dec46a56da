import { Keys } from '@millrace/core/adapter'
import { createKey, listKeys, revokeKey } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.keys`: API keys. */
export const keys: Resource<Keys> = { routes: [createKey, listKeys, revokeKey], create: (context) => new Keys(context) }
