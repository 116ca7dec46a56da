import { type RawOptions, rawClient } from '../raw/raw.ts'
import type { FinalJob } from './checker.ts'
import type { Fact } from './journal.ts'
import { stateKeys } from './settings.ts'

/** What each state must be: what its completed tasks added, once and in order of submission, whatever was killed. */
export function statesOf(facts: readonly Fact[], finals: readonly FinalJob[]): Record<string, readonly string[]> {
  const completed = new Set(finals.filter(({ state }) => state === 'completed').map(({ id }) => id))
  const states: Record<string, string[]> = Object.fromEntries(stateKeys.map((key) => [key, []]))
  const tasks = facts.flatMap((fact) => (fact.type === 'submitted' && fact.key ? [{ ...fact, key: fact.key }] : []))
  for (const { id, n, key } of tasks.sort((a, b) => (a.id < b.id ? -1 : 1))) if (completed.has(id)) states[key]!.push(n)
  return states
}

/** What each state is. */
export async function readStates(server: RawOptions): Promise<Record<string, readonly string[]>> {
  using states = rawClient('StateService', server)
  const read = async (key: string) => {
    const { state } = await states.call<{ state: { data: Buffer } }>('GetState', { key })
    return [key, JSON.parse(state.data.toString()) as string[]] as const
  }
  return Object.fromEntries(await Promise.all(stateKeys.map(read)))
}
