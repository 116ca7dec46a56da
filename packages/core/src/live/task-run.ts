import { type ClientBase, contextOf } from '../client-base.ts'
import type { ClientContext } from '../context.ts'
import { ConflictError, type MillraceError } from '../errors/errors.ts'
import { errorFrom } from '../errors/to-error.ts'
import type { JobError, JobStatus } from '../job-types.ts'
import type { Tasks } from '../tasks/tasks.ts'
import type { CancelOptions, SubmitTaskOptions, TaskHandle, TaskUpdate } from '../tasks/types.ts'
import { observeTask } from './observe.ts'
import { idle } from './subject.ts'
import type { LiveSnapshot, LiveState, Observer } from './types.ts'

/** How a task that is submitted and looked at stands. The same object until something changes. */
export interface TaskRunSnapshot<R = unknown> {
  /** The submitted task; undefined before the server took it. */
  readonly taskId: string | undefined
  /** Where it is in its life; undefined before that is known. */
  readonly status: JobStatus | undefined
  /** 0 to 100, as its handler last said. */
  readonly progress: number
  /** What it was doing, as its handler last said. */
  readonly message: string
  /** What its handler returned, once completed. */
  readonly result: R | undefined
  /** Why it could not be submitted, looked at or cancelled; or the error of its last attempt. */
  readonly error: MillraceError | JobError | undefined
  /** True from the submission until it has ended or is given up. */
  readonly isLoading: boolean
  /** How the connection to it stands. */
  readonly state: LiveState
}

/** What the call under way, or the last one, came to. */
interface Call {
  readonly submitting: boolean
  readonly error: MillraceError | undefined
}
const quiet: Call = { submitting: false, error: undefined }

/** Submits a task and looks at it: what a form and its progress bar need. One task at a time; a new one takes the place of the last. */
export class TaskRun<R = unknown> {
  readonly #client: ClientBase & { readonly tasks: Tasks }
  readonly #context: ClientContext
  readonly #listeners = new Set<() => void>()
  #observer: Observer<TaskUpdate<R>> | undefined
  #taskId: string | undefined
  #call = quiet
  #stop: (() => void) | undefined
  #abort: AbortController | undefined
  #cancelAbort: () => void = () => undefined
  #shown: { readonly live: LiveSnapshot<TaskUpdate<R>>; readonly call: Call; readonly snapshot: TaskRunSnapshot<R> } | undefined

  constructor(client: ClientBase & { readonly tasks: Tasks }) {
    this.#client = client
    this.#context = contextOf(client)
  }

  /** Calls `listener` after each change. While nobody listens, the task is not looked at, and a submission without an answer is aborted. */
  readonly subscribe = (listener: () => void): (() => void) => {
    const entry = () => listener()
    this.#listeners.add(entry)
    this.#cancelAbort()
    this.#look()
    return () => {
      if (!this.#listeners.delete(entry) || this.#listeners.size > 0) return
      this.#stop?.()
      this.#stop = undefined
      // Not at once: whoever listens may only be changing places.
      this.#cancelAbort = this.#context.clock.timer(0, () => this.#abort?.abort())
    }
  }

  /** How it stands. Makes no connection. */
  readonly getSnapshot = (): TaskRunSnapshot<R> => {
    const live: LiveSnapshot<TaskUpdate<R>> = this.#observer?.getSnapshot() ?? idle
    const shown = this.#shown
    if (shown?.live === live && shown.call === this.#call && shown.snapshot.taskId === this.#taskId) return shown.snapshot
    const { data } = live
    const ended = live.state === 'ended' || live.state === 'error'
    const snapshot: TaskRunSnapshot<R> = {
      taskId: this.#taskId,
      status: data?.status,
      progress: data?.progress ?? 0,
      message: data?.message ?? '',
      result: data?.result,
      error: this.#call.error ?? live.error ?? data?.error,
      isLoading: this.#call.submitting || (this.#observer !== undefined && !ended),
      state: live.state,
    }
    this.#shown = { live, call: this.#call, snapshot }
    return snapshot
  }

  /**
   * Submits a task. Never rejects: `error` says why it could not be submitted.
   *
   * @returns the task; undefined when it was not submitted, or another took its place meanwhile.
   */
  readonly submit = async (options: SubmitTaskOptions): Promise<TaskHandle<R> | undefined> => {
    const abort = this.#replace({ submitting: true, error: undefined })
    try {
      const task = await this.#client.tasks.submit<R>(options, { signal: abort.signal })
      if (this.#abort !== abort) return undefined
      this.#taskId = task.taskId
      this.#observer = observeTask<R>(this.#client, task.taskId)
      this.#call = quiet
      this.#look()
      this.#changed()
      return task
    } catch (thrown) {
      if (this.#abort === abort) this.#setCall({ submitting: false, error: abort.signal.aborted ? undefined : errorFrom(thrown) })
      return undefined
    }
  }

  /** Cancels the task, when there is one that has not ended. Never rejects: `error` says why it could not be cancelled. */
  readonly cancel = async (options?: CancelOptions): Promise<void> => {
    const taskId = this.#taskId
    if (taskId === undefined) return
    try {
      await this.#client.tasks.cancel(taskId, options)
    } catch (thrown) {
      // That it had ended already is seen.
      if (taskId === this.#taskId && !(thrown instanceof ConflictError)) this.#setCall({ ...this.#call, error: errorFrom(thrown) })
    }
  }

  /** Forgets the task, which goes on. */
  readonly reset = (): void => {
    this.#replace(quiet)
  }

  #replace(call: Call): AbortController {
    this.#abort?.abort()
    const abort = new AbortController()
    this.#abort = abort
    this.#stop?.()
    this.#stop = undefined
    this.#observer = undefined
    this.#taskId = undefined
    this.#setCall(call)
    return abort
  }

  #look(): void {
    if (this.#stop || !this.#observer || this.#listeners.size === 0) return
    this.#stop = this.#observer.subscribe(() => this.#changed())
  }

  #setCall(call: Call): void {
    this.#call = call
    this.#changed()
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
