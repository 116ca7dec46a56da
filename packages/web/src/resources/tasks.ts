import { Tasks } from '@millrace/core/adapter'
import {
  cancelTask,
  followTaskSet,
  getTask,
  getTaskProof,
  getTasks,
  listTaskLogs,
  listTasks,
  retryTask,
  submitTasks,
  tailTaskLogs,
  watchTasks,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.tasks`: submits units of work by function name and follows them to their end. */
export const tasks: Resource<Tasks> = {
  routes: [
    cancelTask,
    followTaskSet,
    getTask,
    getTaskProof,
    getTasks,
    listTaskLogs,
    listTasks,
    retryTask,
    submitTasks,
    tailTaskLogs,
    watchTasks,
  ],
  create: (context) => new Tasks(context),
}
