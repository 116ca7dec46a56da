import { Queues } from '@millrace/core/adapter'
import { listQueues } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.queues`: the queues of the namespace. */
export const queues: Resource<Queues> = { routes: [listQueues], create: (context) => new Queues(context) }
