import { JobState } from '@millrace/protocol'
import { UsageError } from './command.ts'
import type { Cell, Style } from './output.ts'

/** Words for states, as the SDKs spell them. */
const words: Record<number, string> = {
  [JobState.SCHEDULED]: 'scheduled',
  [JobState.PENDING]: 'pending',
  [JobState.BLOCKED]: 'blocked',
  [JobState.RUNNING]: 'running',
  [JobState.COMPLETED]: 'completed',
  [JobState.FAILED]: 'failed',
  [JobState.CANCELLED]: 'cancelled',
}

const styles: Record<number, Style> = {
  [JobState.RUNNING]: 'cyan',
  [JobState.COMPLETED]: 'green',
  [JobState.FAILED]: 'red',
  [JobState.CANCELLED]: 'yellow',
}

/** The word for a state. */
export function stateWord(state: JobState): string {
  return words[state] ?? 'unknown'
}

/** The word for a state, in its colour. */
export function stateCell(state: JobState): Cell {
  return { text: stateWord(state), style: styles[state] }
}

/** True when a job in this state has ended. */
export function hasEnded(state: JobState): boolean {
  return state === JobState.COMPLETED || state === JobState.FAILED || state === JobState.CANCELLED
}

/**
 * The state a word stands for.
 *
 * @throws {@link UsageError}
 */
export function readState(word: string): JobState {
  const found = Object.entries(words).find(([, known]) => known === word)
  if (!found) throw new UsageError(`--status: '${word}' is none of ${Object.values(words).join(', ')}`)
  return Number(found[0]) as JobState
}
