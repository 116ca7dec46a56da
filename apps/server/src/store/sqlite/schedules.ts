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

/** Schedules and what became of their ticks. */
export class SqliteSchedules implements ScheduleStore {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  create(schedule: ScheduleRecord): Promise<boolean> {
    return this.#context.writer.mutate(() => this.#context.flow.run(createSchedule(schedule)))
  }

  get(name: ScheduleName): Promise<ScheduleRecord | undefined> {
    return this.#context.read(() => this.#context.flow.run(readSchedule(name)))
  }

  list(scope: Scope, page: { limit: number; after: string }): Promise<readonly ScheduleRecord[]> {
    return this.#context.read(() => this.#context.flow.run(listSchedules(scope, page)))
  }

  replace(schedule: ScheduleRecord, revision: number): Promise<boolean> {
    return this.#context.writer.mutate(() => this.#context.flow.run(replaceSchedule(schedule, revision)))
  }

  delete(name: ScheduleName): Promise<boolean> {
    return this.#context.writer.mutate(() => this.#context.flow.run(deleteSchedule(name)))
  }

  due(now: number, limit: number): Promise<readonly ScheduleRecord[]> {
    return this.#context.read(() => this.#context.flow.run(dueSchedules(now, limit)))
  }

  nextDueAt(): Promise<number | undefined> {
    return this.#context.read(() => this.#context.flow.run(nextScheduleDue()))
  }

  decide(name: ScheduleName, run: ScheduleRun): Promise<ScheduleRun> {
    return this.#context.writer.mutate(() => this.#context.flow.run(decideRun(name, run)))
  }

  advance(schedule: ScheduleRecord, next: Pick<ScheduleRecord, 'nextAt' | 'dueAt'>, run: ScheduleRun): Promise<boolean> {
    return this.#context.writer.mutate(() => this.#context.flow.run(advanceSchedule(schedule, next, run)))
  }

  runs(name: ScheduleName, limit: number): Promise<readonly ScheduleRun[]> {
    return this.#context.read(() => this.#context.flow.run(listRuns(name, limit)))
  }

  /** No other server shares the storage: there is nothing to tell. */
  listen(): void {}
}
