import { type ItemError, type LogEntry, LogLevel, type Settlement, type SettleResult } from '@millrace/protocol'
import { parseJobId } from '../domain/jobs/ids.ts'
import { MillraceError, notFound } from '../errors.ts'
import type { JobError, NewLogEntry, Scope, SettleAction, SettleItem, SettleOutcome } from '../store/ports.ts'
import type { Call } from './call.ts'
import { Checks } from './checks.ts'
import { clip } from './clip.ts'
import type { ServiceContext } from './context.ts'
import { fault } from './fault.ts'
import { limits } from './limits.ts'
import { toDate, toItemError } from './shapes.ts'

/**
 * Carries out a batch of settlements, each on its own: those that are wrong are refused in their places, the others go
 * to the engine together.
 *
 * @param proven - those whose worker's proof was verified and is kept.
 * @returns what became of each, in order.
 */
export async function settleBatch(
  context: ServiceContext,
  { scope, requestId }: Pick<Call, 'scope' | 'requestId'>,
  settlements: readonly Settlement[],
  proven?: ReadonlySet<Settlement>,
): Promise<SettleResult[]> {
  const checks = new Checks()
  checks.count('settlements', settlements.length, 0, limits.batch)
  checks.done()
  const items: SettleItem[] = []
  const refused = new Map<number, ItemError>()
  for (let i = 0; i < settlements.length; i++) {
    checks.at('settlements', i)
    const item = readSettlement(checks, settlements[i]!, context)
    const error = checks.takeItemError() ?? (item instanceof MillraceError ? toItemError(item) : undefined)
    if (error) refused.set(i, error)
    else items.push(proven?.has(settlements[i]!) ? withProof(item as SettleItem) : (item as SettleItem))
  }
  const outcomes = items.length === 0 ? [] : await settleEach(context, scope, items, requestId)
  let next = 0
  return settlements.map(({ jobId }, i) => {
    const error = refused.get(i)
    if (error) return { jobId, error, leaseExpiresAt: undefined }
    const outcome = outcomes[next++]!
    return { jobId, error: outcome.error && toItemError(outcome.error), leaseExpiresAt: toDate(outcome.leaseExpiresAt) }
  })
}

/**
 * Settles all together. When the store fails at them, for another reason than its own state, each is settled alone, so that those it
 * fails at are refused and not their neighbours: a worker sends what has no answer again, for ever.
 */
async function settleEach(
  context: ServiceContext,
  scope: Scope,
  items: readonly SettleItem[],
  requestId: string,
): Promise<readonly SettleOutcome[]> {
  try {
    return await context.engine.settle(scope, items)
  } catch (error) {
    if (error instanceof MillraceError && error.reason === 'UNAVAILABLE') throw error
    if (items.length === 1) return [{ error: error instanceof MillraceError ? error : fault(error, requestId, 'settle', context.logger) }]
    const outcomes: SettleOutcome[] = []
    // One after the other: a job's progress comes before its end.
    for (const item of items) outcomes.push(...(await settleEach(context, scope, [item], requestId)))
    return outcomes
  }
}

/**
 * Carries out one settlement.
 *
 * @returns the end of the lease, after a renewal.
 * @throws VALIDATION, NOT_FOUND, CONFLICT
 */
export async function settleOne(context: ServiceContext, scope: Scope, settlement: Settlement): Promise<number | undefined> {
  const checks = new Checks()
  const item = readSettlement(checks, settlement, context)
  checks.done()
  if (item instanceof MillraceError) throw item
  const [outcome] = await context.engine.settle(scope, [item])
  if (outcome?.error) throw outcome.error
  return outcome?.leaseExpiresAt
}

/**
 * Checks a settlement and makes it what the engine takes; an error when its job or lease cannot exist.
 *
 * An id or token that is missing is a wrong field; any other that names nothing is treated as an unknown one.
 */
function readSettlement(checks: Checks, settlement: Settlement, context: ServiceContext): SettleItem | MillraceError {
  const { jobId, leaseToken } = settlement
  checks.id('jobId', jobId)
  checks.id('leaseToken', leaseToken)
  const action = readAction(checks, settlement.action, context)
  const seq = parseJobId(jobId)
  if (seq === undefined) return notFound('job', jobId)
  const token = /^\d{1,16}$/.test(leaseToken) ? Number(leaseToken) : Number.NaN
  if (!Number.isSafeInteger(token)) return new MillraceError('CONFLICT', `The lease of job '${jobId}' is not current.`)
  return { seq, token, action: action! }
}

function withProof({ action, ...item }: SettleItem): SettleItem {
  return { ...item, action: action.type === 'complete' ? { ...action, proven: true } : action }
}

function readAction(checks: Checks, action: Settlement['action'], { clock, payloadLimit }: ServiceContext): SettleAction | undefined {
  switch (action?.$case) {
    case 'complete': {
      const { result, contentType, state, deleteState } = action.value
      checks.payload('complete.result', result, payloadLimit)
      checks.text('complete.contentType', contentType, limits.text)
      if (!state && !deleteState) return { type: 'complete', result, contentType }
      if (state && deleteState) checks.fail('complete.deleteState', 'cannot stand together with state; give one of them')
      if (state) {
        checks.payload('complete.state.data', state.data, payloadLimit)
        checks.text('complete.state.contentType', state.contentType, limits.text)
      }
      return { type: 'complete', result, contentType, state: state ?? null }
    }
    case 'fail': {
      const { error, noRetry, delayMs } = action.value
      if (delayMs !== undefined) checks.integer('fail.delayMs', delayMs, 0, limits.delay)
      return { type: 'fail', error: readJobError(error), noRetry, delayMs }
    }
    case 'renew': {
      const { leaseMs } = action.value
      if (leaseMs !== 0) checks.lease('renew.leaseMs', leaseMs)
      return { type: 'renew', leaseMs }
    }
    case 'release':
      return { type: 'release' }
    case 'progress': {
      const { percent, message } = action.value
      checks.number('progress.percent', percent, 0, 100)
      return { type: 'progress', percent, message: clip(message, limits.kept.progress) }
    }
    case 'log': {
      const { entries } = action.value
      checks.count('log.entries', entries.length, 1, limits.logLines)
      return { type: 'log', entries: entries.map((entry) => readLogEntry(checks, entry, clock.now())) }
    }
    default:
      checks.fail('action', 'is missing; give one of complete, fail, renew, release, progress, log')
      return undefined
  }
}

function readJobError(error: JobError | undefined): JobError {
  const { message = '', code = '', stack = '' } = error ?? {}
  return { message: clip(message, limits.kept.error), code: clip(code, limits.text), stack: clip(stack, limits.kept.error) }
}

function readLogEntry(checks: Checks, entry: LogEntry, now: number): NewLogEntry {
  const { level, message, fieldsJson } = entry
  if (level < LogLevel.UNSPECIFIED || level > LogLevel.ERROR) checks.fail('log.entries', `${level} is not a level`)
  if (fieldsJson !== '' && !isJsonObject(fieldsJson)) {
    checks.fail('log.entries', `fieldsJson must be a JSON object of at most ${limits.kept.log} characters`)
  }
  return {
    timestamp: checks.time('log.entries', entry.timestamp) ?? now,
    level: level === LogLevel.UNSPECIFIED ? LogLevel.INFO : level,
    message: clip(message, limits.kept.log),
    fields: fieldsJson,
  }
}

function isJsonObject(text: string): boolean {
  if (text.length > limits.kept.log) return false
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
