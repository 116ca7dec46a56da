import { type CreatePipelineRequest, FailurePolicy, type NewStage as NewStageMessage } from '@millrace/protocol'
import type { NewPipeline, NewStage } from '../store/ports.ts'
import type { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { defaultName, readRetryPolicy } from './new-jobs.ts'

const noLabels: Readonly<Record<string, string>> = Object.freeze({})

/** Checks a pipeline and makes it what the store takes: names become positions. The result means nothing when a check failed. */
export function readNewPipeline(checks: Checks, request: CreatePipelineRequest, payloadLimit: number): NewPipeline {
  const { name, stages, priority, timeoutMs, onFailure } = request
  checks.id('name', name)
  checks.text('name', name, limits.text)
  checks.count('stages', stages.length, 1, limits.stages)
  checks.integer('priority', priority, -limits.priority, limits.priority)
  checks.integer('timeoutMs', timeoutMs, 0, limits.delay)
  if (onFailure < FailurePolicy.UNSPECIFIED || onFailure > FailurePolicy.CONTINUE) checks.fail('onFailure', `${onFailure} is not a policy`)
  checks.done()
  const positions = new Map<string, number>()
  for (const [i, stage] of stages.entries()) {
    checks.at('stages', i)
    checks.id('name', stage.name)
    checks.text('name', stage.name, limits.text)
    if (positions.has(stage.name))
      checks.fail('name', `'${stage.name}' is the name of stages[${positions.get(stage.name)}] too; each needs its own`)
    else positions.set(stage.name, i)
  }
  const read = stages.map((stage, i) => {
    checks.at('stages', i)
    return readStage(checks, stage, { positions, priority, payloadLimit })
  })
  checks.top()
  checks.done()
  checkAcyclic(checks, read)
  return { name, stages: read, continueOnFailure: onFailure === FailurePolicy.CONTINUE, timeoutMs }
}

function readStage(
  checks: Checks,
  stage: NewStageMessage,
  { positions, priority, payloadLimit }: { positions: ReadonlyMap<string, number>; priority: number; payloadLimit: number },
): NewStage {
  const { name, payload, contentType, timeoutMs, labels, retry, forEachStage, forEachItems } = stage
  const listed = forEachStage !== '' || forEachItems.length > 0
  checks.payload('payload', payload, payloadLimit)
  checks.payload('forEachItems', forEachItems, payloadLimit)
  checks.text('contentType', contentType, limits.text)
  checks.integer('timeoutMs', timeoutMs, 0, limits.timeout)
  checks.labels('labels', labels)
  if (listed && payload.length > 0) checks.fail('payload', 'cannot stand together with forEach, whose items are the payloads')
  if (forEachStage !== '' && forEachItems.length > 0)
    checks.fail('forEachItems', 'cannot stand together with forEachStage; give one of them')
  if (forEachItems.length > 0 && !isList(forEachItems)) checks.fail('forEachItems', `is not a JSON array of at most ${limits.batch} items`)
  const positionOf = (field: string, other: string) => {
    const position = positions.get(other)
    if (position === undefined) checks.fail(field, `there is no stage '${other}' in the pipeline`)
    if (other === name) checks.fail(field, 'names the stage itself')
    return position ?? 0
  }
  const dependsOn = stage.dependsOn.map((other, i) => positionOf(`dependsOn[${i}]`, other))
  const source = forEachStage === '' ? undefined : positionOf('forEachStage', forEachStage)
  const task = {
    queue: checks.nameOr('queue', stage.queue, defaultName),
    function: checks.nameOr('function', stage.function, defaultName),
    labels: Object.keys(labels).length > 0 ? labels : noLabels,
    priority,
    timeoutMs,
    retry: retry && readRetryPolicy(checks, 'retry', retry),
  }
  return {
    name,
    task,
    payload: { data: payload, contentType },
    dependsOn: [...new Set(source === undefined ? dependsOn : [...dependsOn, source])],
    forEach: source ?? (forEachItems.length > 0 ? forEachItems : undefined),
  }
}

function isList(bytes: Uint8Array): boolean {
  try {
    const list: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return Array.isArray(list) && list.length <= limits.batch
  } catch {
    return false
  }
}

/** Refuses a graph with a cycle, and shows it. */
function checkAcyclic(checks: Checks, stages: readonly NewStage[]): void {
  const waits = stages.map(({ dependsOn }) => dependsOn.length)
  const dependents = stages.map((): number[] => [])
  stages.forEach(({ dependsOn }, i) => {
    for (const other of dependsOn) dependents[other]!.push(i)
  })
  const free = waits.flatMap((count, i) => (count === 0 ? [i] : []))
  for (let next = free.pop(); next !== undefined; next = free.pop()) {
    for (const dependent of dependents[next]!) if (--waits[dependent]! === 0) free.push(dependent)
  }
  const stuck = waits.findIndex((count) => count > 0)
  if (stuck < 0) return
  // From a stage that waits for ever, those it waits for lead back to one that was seen.
  const path = [stuck]
  for (;;) {
    const next = stages[path.at(-1)!]!.dependsOn.find((other) => waits[other]! > 0)!
    const seen = path.indexOf(next)
    path.push(next)
    if (seen < 0) continue
    const cycle = path.slice(seen).map((i) => stages[i]!.name)
    checks.at('stages', next)
    checks.fail('dependsOn', `is part of a cycle: ${cycle.join(' waits for ')}`)
    checks.done()
  }
}
