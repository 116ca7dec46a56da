import { createHash } from 'node:crypto'
import { deadAttempts, type Fact, type Plan, type Result } from './journal.ts'

/** A job as the server shows it when everything is over. */
export interface FinalJob {
  readonly id: string
  readonly state: string
  readonly attempts: number
  /** Of a completed job. */
  readonly result?: Result
}

/** A promise that was broken. */
export interface Violation {
  readonly rule: Rule
  readonly id: string
  readonly detail: string
}

/** What the checker looks for. */
export type Rule =
  /** An acknowledged job is gone. */
  | 'lost'
  /** A job has not ended. */
  | 'unfinished'
  /** A job that had ended ended again, differently. */
  | 'two-ends'
  /** A completion was acknowledged though the job had been given to somebody else. */
  | 'stale-completion'
  /** Two deliveries of one job had their completion acknowledged. */
  | 'two-completions'
  /** An acknowledged completion is not what the server shows. */
  | 'lost-completion'
  /** Two deliveries of one job have the same number. */
  | 'attempt-reused'
  /** A job ended otherwise than it must. */
  | 'wrong-end'
  /** A completed job's result is not its own. */
  | 'wrong-result'
  /** One submission became two jobs. */
  | 'duplicate'
  /** A lost worker's job came back later than promised. */
  | 'late-redelivery'

/** What the run took and what it showed. */
export interface Report {
  readonly violations: readonly Violation[]
  readonly jobs: number
  readonly effects: number
  readonly refused: number
  /** Restarts of the server: how long each took to serve again. */
  readonly readyMs: readonly number[]
  /** Deliveries that a worker held when it was lost, and that came back. */
  readonly redelivered: number
  /** Of these, how long each took, but for those that an outage of the server delayed. */
  readonly redeliveryMs: readonly number[]
}

/** What the checker needs to know of the run. */
export interface CheckOptions {
  readonly leaseMs: number
  /** Grace beyond the lease for a redelivery while the server is up. Default: a second, and more where other tests run beside this one. */
  readonly graceMs?: number
  /** Grace after the server was away, for workers to find it again. */
  readonly reconnectMs?: number
}

const usualGraceMs = process.env.MILLRACE_LONG === '1' ? 1000 : 5000

const terminal = new Set(['completed', 'failed', 'cancelled'])

/** The work of the crash test. */
export function hashOf(n: string): string {
  return createHash('sha256').update(n).digest('hex')
}

/**
 * Compares what the processes saw with what the server shows in the end.
 *
 * @param facts - all journals, in order of time.
 * @param finals - every job that the journals name and the server knows.
 */
export function check(facts: readonly Fact[], finals: readonly FinalJob[], options: CheckOptions): Report {
  const violations: Violation[] = []
  const broken = (rule: Rule, id: string, detail: string) => violations.push({ rule, id, detail })
  const final = new Map(finals.map((job) => [job.id, job]))
  const seen = gather(facts)

  for (const [id, { n, plan }] of seen.submitted) {
    const job = final.get(id)
    if (!job) {
      broken('lost', id, `${n} (${plan}) was acknowledged, and the server does not know it`)
      continue
    }
    if (!terminal.has(job.state)) broken('unfinished', id, `${n} (${plan}) is ${job.state} after ${job.attempts} attempts`)
    const expected = mustEnd(plan, seen.cancelled.has(id))
    if (expected && job.state !== expected) broken('wrong-end', id, `${n} (${plan}) is ${job.state}, not ${expected}`)
    if (plan === 'dead' && job.attempts !== deadAttempts)
      broken('wrong-end', id, `${n} (${plan}) had ${job.attempts} attempts, not ${deadAttempts}`)
    if (job.state === 'completed' && (job.result?.n !== n || job.result.hash !== hashOf(n))) {
      broken('wrong-result', id, `${n} has the result ${JSON.stringify(job.result)}`)
    }
  }

  for (const [n, ids] of seen.idsOf) if (ids.size > 1) broken('duplicate', [...ids].join(' '), `${n} was submitted once`)

  for (const fact of seen.ends) {
    const job = final.get(fact.id)
    if (job && (job.state !== fact.state || job.attempts !== fact.attempts)) {
      broken('two-ends', fact.id, `seen ${fact.state} after ${fact.attempts} attempts, in the end ${job.state} after ${job.attempts}`)
    }
  }

  for (const [id, deliveries] of seen.effects) {
    const tokenOf = new Map<number, string>()
    for (const { attempt, token } of deliveries) {
      if (token === '') continue
      const other = tokenOf.get(attempt)
      if (other !== undefined && other !== token) broken('attempt-reused', id, `attempt ${attempt} under ${other} and under ${token}`)
      tokenOf.set(attempt, token)
    }
  }

  for (const [id, completions] of seen.completions) {
    const leases = new Set(completions.map(({ attempt, token }) => `${attempt}/${token}`))
    if (leases.size > 1) broken('two-completions', id, [...leases].join(' and '))
    const latest = Math.max(0, ...(seen.effects.get(id) ?? []).map(({ attempt }) => attempt))
    for (const { attempt, token, worker } of completions) {
      if (attempt < latest) broken('stale-completion', id, `${worker} completed attempt ${attempt}; attempt ${latest} had effects`)
      const job = final.get(id)
      if (job && (job.state !== 'completed' || job.result?.attempt !== attempt || job.result.token !== token)) {
        broken(
          'lost-completion',
          id,
          `${worker} completed attempt ${attempt} under ${token}; the server shows ${job.state} ${JSON.stringify(job.result)}`,
        )
      }
    }
  }

  const redeliveries = checkRedelivery(facts, seen, options, broken)
  return {
    violations,
    jobs: seen.submitted.size,
    effects: [...seen.effects.values()].reduce((sum, list) => sum + list.length, 0),
    refused: facts.filter(({ type }) => type === 'refused').length,
    readyMs: facts.flatMap((fact) => (fact.type === 'server-up' ? [fact.readyMs] : [])),
    redelivered: redeliveries.length,
    redeliveryMs: redeliveries.flatMap(({ took, undisturbed }) => (undisturbed ? [took] : [])),
  }
}

/** How a job with this plan has to end; undefined when that is open. */
function mustEnd(plan: Plan, cancelled: boolean): string | undefined {
  if (cancelled) return 'cancelled'
  if (plan === 'cancel') return undefined
  return plan === 'dead' ? 'failed' : 'completed'
}

type FactOf<T extends Fact['type']> = Extract<Fact, { type: T }>

interface Seen {
  readonly submitted: Map<string, FactOf<'submitted'>>
  readonly cancelled: Set<string>
  readonly idsOf: Map<string, Set<string>>
  readonly effects: Map<string, FactOf<'effect'>[]>
  readonly completions: Map<string, FactOf<'acknowledged'>[]>
  readonly ends: FactOf<'terminal'>[]
}

function gather(facts: readonly Fact[]): Seen {
  const seen: Seen = { submitted: new Map(), cancelled: new Set(), idsOf: new Map(), effects: new Map(), completions: new Map(), ends: [] }
  for (const fact of facts) {
    if (fact.type === 'submitted') seen.submitted.set(fact.id, fact)
    if (fact.type === 'submitted' || fact.type === 'effect') setDefault(seen.idsOf, fact.n, () => new Set<string>()).add(fact.id)
    if (fact.type === 'cancelled') seen.cancelled.add(fact.id)
    if (fact.type === 'effect') setDefault(seen.effects, fact.id, () => []).push(fact)
    if (fact.type === 'acknowledged' && fact.action === 'complete') setDefault(seen.completions, fact.id, () => []).push(fact)
    if (fact.type === 'terminal') seen.ends.push(fact)
  }
  return seen
}

function setDefault<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}

/** Every delivery that a worker held when it was lost, and that was not its last, came back in time. */
function checkRedelivery(
  facts: readonly Fact[],
  seen: Seen,
  { leaseMs, graceMs = usualGraceMs, reconnectMs = 3000 }: CheckOptions,
  broken: (rule: Rule, id: string, detail: string) => void,
): { readonly took: number; readonly undisturbed: boolean }[] {
  const settled = new Set<string>()
  for (const fact of facts) if (fact.type === 'acknowledged' && fact.action !== 'renew') settled.add(`${fact.id}/${fact.attempt}`)
  const outages = outagesOf(facts)
  const redeliveries: { took: number; undisturbed: boolean }[] = []
  for (const loss of facts) {
    if (loss.type !== 'worker-lost') continue
    for (const [id, deliveries] of seen.effects) {
      const held = deliveries.findLast(({ worker, at }) => worker === loss.worker && at <= loss.at)
      if (!held || settled.has(`${id}/${held.attempt}`)) continue
      const next = deliveries.find(({ attempt }) => attempt > held.attempt)
      if (!next || next.at <= loss.at) continue // settled without our seeing it, or ended with this attempt
      const took = next.at - loss.at
      const away = outages.filter(({ from, to }) => to + reconnectMs > loss.at && from < next.at)
      // Attempts that nobody began were given to workers that were lost too: each may take a lease of its own.
      const leases = next.attempt - held.attempt
      const allowed = leases * leaseMs + graceMs + away.reduce((sum, { from, to }) => sum + (to - from) + reconnectMs, 0)
      if (took > allowed) {
        const what = `attempt ${held.attempt} of ${loss.worker} to attempt ${next.attempt} of ${next.worker}`
        broken('late-redelivery', id, `${took} ms from the loss of ${what}; allowed ${allowed} ms`)
      }
      redeliveries.push({ took, undisturbed: away.length === 0 && leases === 1 })
    }
  }
  return redeliveries
}

/** When the server, or what it needs, was broken. */
function outagesOf(facts: readonly Fact[]): { readonly from: number; readonly to: number }[] {
  const outages: { from: number; to: number }[] = []
  const broken = new Map<string, number>()
  for (const fact of facts) {
    const what = 'what' in fact ? fact.what : 'server'
    if (fact.type === 'server-down' || fact.type === 'fault') broken.set(what, fact.at)
    const from = broken.get(what)
    if ((fact.type === 'server-up' || fact.type === 'healed') && from !== undefined) {
      outages.push({ from, to: fact.at })
      broken.delete(what)
    }
  }
  return outages
}
