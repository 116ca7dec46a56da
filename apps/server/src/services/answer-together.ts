import type { RowResult, RowSet } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { MillraceError } from '../errors.ts'
import type { Call } from './call.ts'
import { pageBytes } from './limits.ts'
import { toItemError } from './shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** What one of several calls gave. */
export interface RowAnswer {
  readonly result?: RowSet | undefined
  readonly affected?: number
}

/** Calls of one request that are carried out at a time: as many as there are connections. */
const atOnce = 32
/** Answers with so many bytes of rows leave without the others: who asked reads them while those are made. */
const messageBytes = 256 * 1024
/** How long an answer waits for others, in milliseconds. */
const patienceMs = 20

/**
 * Carries out calls side by side. Their answers travel together, but none waits for a slow one for more than a moment. A
 * call that fails fails alone; a fault of the server ends the stream after all others.
 *
 * @param calls - carry out one each.
 * @param request - what has not begun when it ends is not carried out.
 */
export async function* answerTogether(
  calls: readonly (() => Promise<RowAnswer>)[],
  clock: Clock,
  { requestId, signal }: Pick<Call, 'requestId' | 'signal'>,
): AsyncGenerator<{ results: RowResult[]; requestId: string }, void, undefined> {
  const wakeup = new Wakeup()
  const faults: unknown[] = []
  let done: RowResult[] = []
  let bytes = 0
  let next = 0
  let running = 0
  let due = false
  let cancel: (() => void) | undefined

  const onDue = (): void => {
    due = true
    wakeup.wake()
  }
  const carryOut = async (index: number): Promise<void> => {
    try {
      const { result, affected = 0 } = await calls[index]!()
      bytes += result?.rows.length ?? 0
      done.push({ index, result, affected, error: undefined })
    } catch (error) {
      if (error instanceof MillraceError) done.push({ index, result: undefined, affected: 0, error: toItemError(error) })
      else faults.push(error)
    }
    running--
    begin()
    if (running === 0 || bytes >= messageBytes) wakeup.wake()
    else cancel ??= clock.timer(patienceMs, onDue)
  }
  const begin = (): void => {
    while (next < calls.length && running < atOnce && bytes < pageBytes && !signal.aborted) {
      running++
      void carryOut(next++)
    }
  }
  const take = () => {
    const all = next === calls.length && running === 0
    if (done.length > 0 && (all || due || bytes >= messageBytes)) {
      const results = done
      cancel?.()
      cancel = undefined
      due = false
      done = []
      bytes = 0
      begin()
      return { results, requestId }
    }
    if (!all) return undefined
    if (faults.length > 0) throw faults[0]
    return 'end'
  }

  try {
    begin()
    yield* pump(take, wakeup, signal)
  } finally {
    cancel?.()
  }
}
