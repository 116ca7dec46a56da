import { type Case, collect } from '../kit.ts'

/** How many steps the followed task has. */
export const steps = 40

/** Follows a running task in every way at once, whatever happens to the server meanwhile. */
export const followCase: Case = {
  name: 'a task is followed to its end',
  expected: { last: 'done', ordered: true, waited: 'completed', log: Array.from({ length: steps }, (_, i) => `step ${i + 1}`) },
  async run(kit) {
    const { tasks } = kit.client()
    const { taskId } = (await tasks.list()).items[0]!
    const [updates, end, log] = await Promise.all([
      collect(tasks.watch(taskId)),
      tasks.wait(taskId, { timeout: '50s' }),
      collect(tasks.logs(taskId, { follow: true })),
    ])
    const progresses = updates.map(({ progress }) => progress)
    return {
      last: updates.at(-1)!.result,
      ordered: progresses.every((each, i) => i === 0 || each >= progresses[i - 1]!),
      waited: end.status,
      log: log.map(({ message }) => message),
    }
  },
}
