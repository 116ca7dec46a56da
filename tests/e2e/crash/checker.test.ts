import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../harness/temporary.ts'
import { check, type FinalJob, hashOf, type Rule } from './checker.ts'
import { type Fact, openJournal, readJournals } from './journal.ts'

const options = { leaseMs: 2000, graceMs: 1000 }

/** A good run of one job: lost by `a`, failed by nobody, completed by `b`. */
const facts: readonly Fact[] = [
  { at: 1000, type: 'submitted', id: 'job_1', n: 'n1', plan: 'ok' },
  { at: 1010, type: 'effect', id: 'job_1', n: 'n1', attempt: 1, token: '5', worker: 'a' },
  { at: 1100, type: 'worker-lost', worker: 'a' },
  { at: 3600, type: 'effect', id: 'job_1', n: 'n1', attempt: 2, token: '9', worker: 'b' },
  { at: 3650, type: 'acknowledged', action: 'complete', id: 'job_1', attempt: 2, token: '9', worker: 'b' },
  { at: 3700, type: 'terminal', id: 'job_1', state: 'completed', attempts: 2 },
  { at: 3800, type: 'refused', action: 'complete', code: 'CONFLICT', id: 'job_1', attempt: 1, token: '5', worker: 'a' },
]
const done: FinalJob = { id: 'job_1', state: 'completed', attempts: 2, result: { n: 'n1', hash: hashOf('n1'), attempt: 2, token: '9' } }

function rules(changed: readonly Fact[], finals: readonly FinalJob[] = [done]): Rule[] {
  return [...new Set(check(changed, finals, options).violations.map(({ rule }) => rule))].sort()
}

/** The good run with one fact changed. */
function replaced<T extends Fact['type']>(type: T, change: Partial<Extract<Fact, { type: T }>>): Fact[] {
  const index = facts.findLastIndex((fact) => fact.type === type)
  return facts.map((fact, i) => (i === index ? ({ ...fact, ...change } as Fact) : fact))
}

test('a good run has no violations, and its measures are right', () => {
  const report = check(facts, [done], options)
  expect(report).toEqual({ violations: [], jobs: 1, effects: 2, refused: 1, readyMs: [], redelivered: 1, redeliveryMs: [2500] })
})

describe('planted violations are found', () => {
  const planted: readonly [string, Rule, readonly Fact[], (readonly FinalJob[])?][] = [
    ['an acknowledged job is gone', 'lost', facts.slice(0, 3), []],
    ['a job never ends', 'unfinished', facts.slice(0, 4), [{ ...done, state: 'running' }]],
    ['a completed job turns into a failed one', 'two-ends', facts, [{ ...done, state: 'failed' }]],
    ['a completed job runs again', 'two-ends', facts, [{ ...done, attempts: 3 }]],
    [
      'a completion under an old lease is acknowledged',
      'stale-completion',
      replaced('acknowledged', { attempt: 1, token: '5', worker: 'a' }),
    ],
    ['two completions are acknowledged', 'two-completions', [...facts, { ...facts[4]!, attempt: 1, token: '5', worker: 'a' } as Fact]],
    ['an acknowledged completion is not there', 'lost-completion', facts, [{ ...done, state: 'pending' }]],
    ['the result is of another lease', 'lost-completion', facts, [{ ...done, result: { ...done.result!, token: '5' } }]],
    ['two leases have one number', 'attempt-reused', [...facts, { ...facts[3]!, token: '8' } as Fact]],
    ['a job that must complete fails', 'wrong-end', facts, [{ ...done, state: 'failed' }]],
    ['a job that must fail completes', 'wrong-end', replaced('submitted', { plan: 'dead' })],
    [
      'a job that fails has an attempt too many',
      'wrong-end',
      replaced('submitted', { plan: 'dead' }),
      [{ ...done, state: 'failed', attempts: 4 }],
    ],
    ['a cancelled job completes', 'wrong-end', [...facts, { at: 1005, type: 'cancelled', id: 'job_1' }]],
    ['the result is wrong', 'wrong-result', facts, [{ ...done, result: { ...done.result!, hash: hashOf('n2') } }]],
    ['there is no result', 'wrong-result', facts, [{ ...done, result: undefined }]],
    ['one submission is two jobs', 'duplicate', [...facts, { ...facts[3]!, id: 'job_2', attempt: 1 } as Fact]],
    ['a job comes back late', 'late-redelivery', replaced('effect', { at: 4200 })],
    [
      'a job comes back late even after an outage',
      'late-redelivery',
      [...replaced('effect', { at: 20_000 }), { at: 1200, type: 'server-down' }, { at: 2200, type: 'server-up', readyMs: 900 }].sort(
        (a, b) => a.at - b.at,
      ) as Fact[],
    ],
  ]
  test.each(planted)('%s', (_name, rule, changed, finals) => {
    expect(rules(changed, finals)).toContain(rule)
  })

  test('every rule is among them', () => {
    const all: Record<Rule, true> = {
      lost: true,
      unfinished: true,
      'two-ends': true,
      'stale-completion': true,
      'two-completions': true,
      'lost-completion': true,
      'attempt-reused': true,
      'wrong-end': true,
      'wrong-result': true,
      duplicate: true,
      'late-redelivery': true,
    }
    expect(Object.keys(all).sort()).toEqual([...new Set(planted.map(([, rule]) => rule))].sort())
  })
})

test('an outage of the server excuses a redelivery by its length', () => {
  const late = [...replaced('effect', { at: 6000 }), { at: 1200, type: 'server-down' }, { at: 2200, type: 'server-up', readyMs: 900 }]
  const report = check(late.sort((a, b) => a.at - b.at) as Fact[], [done], options)
  expect(report).toMatchObject({ violations: [], redelivered: 1, redeliveryMs: [] })
})

test('so does a fault of one of several servers, beside others', () => {
  const faults: Fact[] = [
    { at: 1150, type: 'fault', what: 'node-1 killed' },
    { at: 1200, type: 'fault', what: 'node-2 silent' },
    { at: 1700, type: 'healed', what: 'node-1 killed' },
    { at: 2200, type: 'healed', what: 'node-2 silent' },
  ]
  const late = [...replaced('effect', { at: 6000 }), ...faults].sort((a, b) => a.at - b.at)
  expect(rules(late)).toEqual([])
  expect(rules(late.filter((fact) => fact.type !== 'healed'))).toEqual(['late-redelivery'])
})

test('attempts in between that nobody began excuse a lease each', () => {
  const skipped = replaced('effect', { at: 5500, attempt: 3 }).map((fact) =>
    fact.type === 'acknowledged' || fact.type === 'terminal'
      ? { ...fact, ...(fact.type === 'terminal' ? { attempts: 3 } : { attempt: 3 }) }
      : fact,
  )
  const finals: FinalJob[] = [{ ...done, attempts: 3, result: { ...done.result!, attempt: 3 } }]
  expect(rules(skipped, finals)).toEqual([])
  expect(
    rules(
      skipped.map((fact) => (fact.type === 'effect' && fact.attempt === 3 ? { ...fact, at: 6200 } : fact)),
      finals,
    ),
  ).toEqual(['late-redelivery'])
})

test('a job whose cancel was not acknowledged may end either way', () => {
  const cancelled: FinalJob = { id: 'job_1', state: 'cancelled', attempts: 0 }
  expect(rules([{ ...facts[0]!, plan: 'cancel' } as Fact], [cancelled])).toEqual([])
  expect(rules(replaced('submitted', { plan: 'cancel' }))).toEqual([])
})

test('a journal survives a line cut off by a kill', () => {
  const folder = temporaryFolder()
  const journal = openJournal(folder, 'a')
  journal.write({ type: 'cancelled', id: 'job_1' })
  journal.close()
  appendFileSync(join(folder, 'a.jsonl'), '{"at":1,"type":"canc')
  expect(readJournals(folder)).toEqual([{ at: expect.any(Number), type: 'cancelled', id: 'job_1' }])
})
