import { type RawOptions, rawClient } from '../raw/raw.ts'
import type { FinalJob } from './checker.ts'
import type { Result } from './journal.ts'

interface Shown {
  readonly state: string
  readonly attempts: number
  readonly result: Buffer
}

const atOnce = 50

/** Reads jobs and tasks as the server shows them; those it does not know are left out. */
export async function readFinals(ids: readonly string[], options: RawOptions): Promise<FinalJob[]> {
  using queues = rawClient('QueueService', options)
  using tasks = rawClient('TaskService', options)
  const read = async (id: string): Promise<FinalJob | undefined> => {
    const shown = id.startsWith('task_')
      ? tasks.call<{ task: Shown }>('GetTask', { taskId: id }).then(({ task }) => task)
      : queues.call<{ job: Shown }>('GetJob', { jobId: id }).then(({ job }) => job)
    try {
      const { state, attempts, result } = await shown
      return {
        id,
        state: state.replace('JOB_STATE_', '').toLowerCase(),
        attempts,
        result: result.length > 0 ? (JSON.parse(result.toString()) as Result) : undefined,
      }
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 5) return undefined // NOT_FOUND
      throw error
    }
  }
  const finals: FinalJob[] = []
  const rest = ids.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const id of rest) {
        const job = await read(id)
        if (job) finals.push(job)
      }
    }),
  )
  return finals
}
