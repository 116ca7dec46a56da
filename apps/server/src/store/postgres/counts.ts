/** Kinds of changes that run beside one another in a node, and so count in rows of their own: none waits for another's commit. */
export const Writer = { enqueue: 0, claim: 4, complete: 5, end: 6, other: 7 } as const

/** The number of a writer among all nodes'. */
export function writerOf(slot: number, writer: number): number {
  return slot * 8 + writer
}

/** Jobs of a lane by state. `completed`, `failed`, `cancelled` and `total` count from the lane's first use on; `dead` counts kept failed jobs. */
const countNames = ['scheduled', 'pending', 'blocked', 'running', 'completed', 'failed', 'cancelled', 'dead', 'total'] as const
type CountName = (typeof countNames)[number]

/** In `moves`: the job was not there before, or is deleted. */
export const Move = { new: 0, deleted: 9 } as const

const states = { scheduled: 1, pending: 2, blocked: 3, running: 4, completed: 5, failed: 6, cancelled: 7 } as const

function change(name: CountName): string {
  const into = (state: number) => `count(*) FILTER (WHERE into_state = ${state})`
  const outOf = (state: number, except = '') => `count(*) FILTER (WHERE from_state = ${state}${except})`
  if (name === 'total') return outOf(Move.new)
  if (name === 'dead') return `${into(states.failed)} - ${outOf(states.failed)}`
  // What ended and is deleted stays counted as having ended.
  return `${into(states[name])} - ${outOf(states[name], ` AND into_state <> ${Move.deleted}`)}`
}

const names = countNames.join(', ')

/**
 * A statement's part that counts the jobs it moved.
 *
 * @param moves - SQL of rows `(tenant, lane, from_state, into_state)`, one a job.
 * @param writer - SQL of the writer's number.
 */
export function countMoves(moves: string, writer: string): string {
  return addCounts(`SELECT tenant, lane, ${countNames.map(change).join(', ')} FROM (${moves}) AS moves GROUP BY tenant, lane`, writer)
}

/**
 * A statement's part that adds to counts.
 *
 * @param changes - SQL of rows of tenant, lane and the changes in the order of {@link countNames}, one a lane.
 */
export function addCounts(changes: string, writer: string): string {
  return `INSERT INTO millrace.lane_counts AS c (tenant, lane, writer, ${names})
    SELECT tenant, lane, ${writer}, ${names} FROM (${changes}) AS changes (tenant, lane, ${names}) ORDER BY tenant, lane
    ON CONFLICT (tenant, lane, writer) DO UPDATE SET ${countNames.map((name) => `${name} = c.${name} + excluded.${name}`).join(', ')}`
}
