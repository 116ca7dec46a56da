import { MillraceError } from '../errors.ts'
import { JobState, type SettleAction, type SettleOutcome } from './ports.ts'

/** It was carried out. */
export const done: SettleOutcome = {}
/** There is no such job. */
export const unknownJob: SettleOutcome = {
  error: new MillraceError('NOT_FOUND', 'There is no such job in this namespace.', { resource: 'job' }),
}
/** It says what the state is, of a job that has none. */
export const notStateful: SettleOutcome = {
  error: new MillraceError('VALIDATION', 'state: the job is not stateful and has no state to change. Submit it with a state key.', {
    fields: [{ path: 'state', message: 'the job is not stateful; submit it with a state key' }],
  }),
}
/** It completes an attested task and proves nothing. */
export const notProven: SettleOutcome = {
  error: new MillraceError(
    'FAILED_PRECONDITION',
    'The task requires a trusted execution environment: complete it over the stream of its attested worker, with a proof.',
  ),
}
/** Its lease has ended. */
export const staleLease: SettleOutcome = {
  error: new MillraceError(
    'CONFLICT',
    'The lease is not current: it expired, or the job was settled, cancelled or given to another worker. Drop this attempt.',
  ),
}

/** True when an action under the lease that ended in this state may be this state's own, sent again. */
export function repeats(action: SettleAction['type'], state: JobState): boolean {
  switch (action) {
    case 'complete':
      return state === JobState.completed
    case 'fail':
      return state === JobState.failed || state === JobState.scheduled || state === JobState.pending
    case 'release':
      return state === JobState.pending
    default:
      return false
  }
}
