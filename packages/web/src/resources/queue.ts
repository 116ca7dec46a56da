import { Queue } from '@millrace/core/adapter'
import {
  cancelJob,
  enqueueJobs,
  getJob,
  getQueue,
  getQueueStats,
  listDeadLetters,
  pauseQueue,
  purgeDeadLetters,
  receiveJobs,
  replayDeadLetters,
  resumeQueue,
  settleJobs,
  streamJobs,
  updateQueue,
  watchQueueStats,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.queue(name)`: one queue. */
export const queue: Resource<<T = unknown>(name: string) => Queue<T>> = {
  routes: [
    cancelJob,
    enqueueJobs,
    getJob,
    getQueue,
    getQueueStats,
    listDeadLetters,
    pauseQueue,
    purgeDeadLetters,
    receiveJobs,
    replayDeadLetters,
    resumeQueue,
    settleJobs,
    streamJobs,
    updateQueue,
    watchQueueStats,
  ],
  create: (context) => (name) => new Queue(context, name),
}
