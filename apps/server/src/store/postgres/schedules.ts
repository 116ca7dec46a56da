import {
  advanceSchedule,
  createSchedule,
  decideRun,
  deleteSchedule,
  dueSchedules,
  listRuns,
  listSchedules,
  nextScheduleDue,
  readSchedule,
  replaceSchedule,
} from '../flow/schedules.ts'
import type { Scope } from '../ports.ts'
import type { ScheduleName, ScheduleRecord, ScheduleRun, ScheduleStore } from '../schedule-port.ts'
import type { Context } from './context.ts'
import { runAlone } from './flow.ts'

/** Schedules and what became of their ticks. */
export class PostgresSchedules implements ScheduleStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  create(schedule: ScheduleRecord): Promise<boolean> {
    return this.#told(schedule, runAlone(this.#context, createSchedule(schedule)))
  }

  get(name: ScheduleName): Promise<ScheduleRecord | undefined> {
    return runAlone(this.#context, readSchedule(name))
  }

  list(scope: Scope, page: { limit: number; after: string }): Promise<readonly ScheduleRecord[]> {
    return runAlone(this.#context, listSchedules(scope, page))
  }

  replace(schedule: ScheduleRecord, revision: number): Promise<boolean> {
    return this.#told(schedule, runAlone(this.#context, replaceSchedule(schedule, revision)))
  }

  delete(name: ScheduleName): Promise<boolean> {
    return runAlone(this.#context, deleteSchedule(name))
  }

  due(now: number, limit: number): Promise<readonly ScheduleRecord[]> {
    return runAlone(this.#context, dueSchedules(now, limit))
  }

  nextDueAt(): Promise<number | undefined> {
    return runAlone(this.#context, nextScheduleDue())
  }

  decide(name: ScheduleName, run: ScheduleRun): Promise<ScheduleRun> {
    return runAlone(this.#context, decideRun(name, run))
  }

  advance(schedule: ScheduleRecord, next: Pick<ScheduleRecord, 'nextAt' | 'dueAt'>, run: ScheduleRun): Promise<boolean> {
    return runAlone(this.#context, advanceSchedule(schedule, next, run))
  }

  runs(name: ScheduleName, limit: number): Promise<readonly ScheduleRun[]> {
    return runAlone(this.#context, listRuns(name, limit))
  }

  listen(changed: () => void): void {
    this.#context.onTouch('schedule', { touched: changed, missed: changed })
  }

  async #told(name: ScheduleName, change: Promise<boolean>): Promise<boolean> {
    const changed = await change
    if (changed) this.#context.touch('schedule', name, name.name)
    return changed
  }
}
