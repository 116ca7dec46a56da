import { Streams } from '@millrace/core/adapter'
import { listStreams } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.streams`: the event streams of the namespace. */
export const streams: Resource<Streams> = { routes: [listStreams], create: (context) => new Streams(context) }
