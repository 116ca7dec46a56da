import type { ClientContext } from '../context.ts'
import { createRequestId } from '../ids.ts'
import type { CallOptions } from '../options.ts'
import { createList, type List } from '../page.ts'
import type { RequestOf } from '../transport.ts'
import { toInt, toText } from '../wire.ts'
import { fromRun, fromSchedule, toChange, toNewSchedule } from './convert.ts'
import type {
  CreateScheduleOptions,
  ListSchedulesOptions,
  Schedule,
  ScheduleHistoryOptions,
  ScheduleRun,
  UpdateScheduleOptions,
} from './types.ts'

/** Tasks and jobs that the server submits at set times, each time once. */
export class Schedules {
  readonly #context: ClientContext

  /** @internal Use `mr.schedules`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /**
   * Makes a schedule.
   *
   * @throws ValidationError naming what is wrong; ConflictError when there is one of its name.
   */
  async create(options: CreateScheduleOptions, call?: CallOptions): Promise<Schedule> {
    return this.#one('ScheduleService/CreateSchedule', { schedule: toNewSchedule(options) }, call, false)
  }

  /** Reads a schedule. @throws NotFoundError when there is none. */
  async get(name: string, call?: CallOptions): Promise<Schedule> {
    return this.#one('ScheduleService/GetSchedule', { name: toText('name', name) }, call)
  }

  /** Lists schedules by name, without their payloads. */
  list(options: ListSchedulesOptions = {}): List<Schedule> {
    const { limit, cursor } = options
    return createList(async (from) => {
      const request = { limit: toInt('limit', limit), cursor: from }
      const answer = await this.#context.safe('ScheduleService/ListSchedules', request, options)
      return { items: answer.schedules.map((schedule) => fromSchedule(schedule, false)), nextCursor: answer.nextCursor }
    }, cursor)
  }

  /** Changes a schedule; what is left out stays. A tick that is due is submitted before, as the schedule was. */
  async update(name: string, change: UpdateScheduleOptions, call?: CallOptions): Promise<Schedule> {
    return this.#one('ScheduleService/UpdateSchedule', toChange(name, change), call)
  }

  /** Lets ticks pass by without submitting anything. */
  async pause(name: string, call?: CallOptions): Promise<Schedule> {
    return this.#one('ScheduleService/PauseSchedule', { name: toText('name', name) }, call)
  }

  /** Goes on with the next tick to come. */
  async resume(name: string, call?: CallOptions): Promise<Schedule> {
    return this.#one('ScheduleService/ResumeSchedule', { name: toText('name', name) }, call)
  }

  /**
   * Submits once now, whatever runs and also while it is paused.
   *
   * @returns the task (`task_…`) or job (`job_…`).
   */
  async trigger(name: string, call?: CallOptions): Promise<{ readonly jobId: string }> {
    const request = { name: toText('name', name), requestId: createRequestId(this.#context.clock.now()) }
    const { jobId } = await this.#context.safe('ScheduleService/TriggerSchedule', request, call)
    return { jobId }
  }

  /** Deletes a schedule with its history; what it submitted goes on. @returns false when there was none. */
  async delete(name: string, call?: CallOptions): Promise<boolean> {
    const request = { name: toText('name', name) }
    return (await this.#context.unsafe('ScheduleService/DeleteSchedule', request, call)).deleted
  }

  /** What became of a schedule's latest ticks, latest first; 100 are kept. */
  async history(name: string, options: ScheduleHistoryOptions = {}): Promise<readonly ScheduleRun[]> {
    const request = { name: toText('name', name), limit: toInt('limit', options.limit) }
    const { runs } = await this.#context.safe('ScheduleService/ListScheduleRuns', request, options)
    return runs.map(fromRun)
  }

  async #one<M extends 'Create' | 'Get' | 'Update' | 'Pause' | 'Resume'>(
    method: `ScheduleService/${M}Schedule`,
    request: RequestOf<`ScheduleService/${M}Schedule`>,
    call: CallOptions | undefined,
    safe = true,
  ): Promise<Schedule> {
    const answer = await this.#context.safe(method, request, call, safe)
    return fromSchedule(answer.schedule)
  }
}
