import { attestedMark as mark } from '../../store/ports.ts'

// Tasks that require a trusted execution environment have lanes of their own, which attested workers alone draw from: the
// function with a mark. Order over lanes is by priority and age, so a worker's tasks stay in order.

/** The lane of a function's tasks that require attested workers. */
export function attestedLane(name: string): string {
  return name + mark
}

/** True for the lane of tasks that require attested workers. */
export function isAttestedLane(lane: string): boolean {
  return lane.endsWith(mark)
}

/** The function of a lane. */
export function functionOfLane(lane: string): string {
  return isAttestedLane(lane) ? lane.slice(0, -mark.length) : lane
}

/** Both lanes of a function. */
export function lanesOf(name: string): readonly string[] {
  return [name, attestedLane(name)]
}
