import { Stream } from '@millrace/core/adapter'
import {
  commitOffsets,
  deleteStream,
  getGroup,
  getStream,
  putStream,
  readMessages,
  subscribeGroup,
  subscribeMessages,
  writeBatches,
  writeMessages,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.stream(name)`: one event stream. */
export const stream: Resource<<T = unknown>(name: string) => Stream<T>> = {
  routes: [
    commitOffsets,
    deleteStream,
    getGroup,
    getStream,
    putStream,
    readMessages,
    subscribeGroup,
    subscribeMessages,
    writeBatches,
    writeMessages,
  ],
  create: (context) => (name) => new Stream(context, name),
}
