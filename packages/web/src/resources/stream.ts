import { Stream } from '@millrace/core/adapter'
import {
  commitOffsets,
  createReplay,
  deleteReplay,
  deleteStream,
  getGroup,
  getReplay,
  getStream,
  listReplays,
  putStream,
  readMessages,
  subscribeGroup,
  subscribeMessages,
  subscribeReplay,
  updateReplay,
  writeBatches,
  writeMessages,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.stream(name)`: one event stream. */
export const stream: Resource<<T = unknown>(name: string) => Stream<T>> = {
  routes: [
    commitOffsets,
    createReplay,
    deleteReplay,
    deleteStream,
    getGroup,
    getReplay,
    getStream,
    listReplays,
    putStream,
    readMessages,
    subscribeGroup,
    subscribeMessages,
    subscribeReplay,
    updateReplay,
    writeBatches,
    writeMessages,
  ],
  create: (context) => (name) => new Stream(context, name),
}
