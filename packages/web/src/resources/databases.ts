import { Databases } from '@millrace/core/adapter'
import { listDatabases } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.databases`: the analytical databases of the namespace. */
export const databases: Resource<Databases> = { routes: [listDatabases], create: (context) => new Databases(context) }
