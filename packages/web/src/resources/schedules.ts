import { Schedules } from '@millrace/core/adapter'
import {
  createSchedule,
  deleteSchedule,
  getSchedule,
  listScheduleRuns,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  triggerSchedule,
  updateSchedule,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.schedules`: tasks and jobs that are submitted at set times. */
export const schedules: Resource<Schedules> = {
  routes: [
    createSchedule,
    deleteSchedule,
    getSchedule,
    listScheduleRuns,
    listSchedules,
    pauseSchedule,
    resumeSchedule,
    triggerSchedule,
    updateSchedule,
  ],
  create: (context) => new Schedules(context),
}
