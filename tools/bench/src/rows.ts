import type { PhaseName, StoreName } from './options.ts'
import { type Samples, type SystemName, systemNames } from './samples.ts'
import type { Sizes } from './sizes.ts'
import { median } from './statistics.ts'
import type { Window } from './window.ts'

/** What a figure counts. */
export type Unit = 'jobs/s' | 'ms' | 'µs' | 'bytes' | 'ratio'

/** A goal of the project. */
export interface Goal {
  /** In the row's unit; or with `over`, how many times better than that system. */
  readonly limit: number
  readonly over?: SystemName
  readonly met: boolean
}

/** A figure of one system. */
export interface Cell {
  /** Median of the rounds. */
  readonly value: number
  readonly rounds: readonly number[]
  /** What was acknowledged is not what was there: the value means nothing. */
  readonly void: boolean
  readonly window?: Window
}

/** A line of the table. */
export interface Row {
  readonly name: string
  readonly label: string
  readonly unit: Unit
  readonly cells: Partial<Record<SystemName, Cell>>
  /** For Millrace; jobs/s and ratios to others at least, everything else at most. */
  readonly goals: readonly Goal[]
  /** How many times better Millrace is than each other system. */
  readonly ratios: Partial<Record<SystemName, number>>
}

interface Figure {
  readonly name: string
  readonly label: string
  readonly unit: Unit
  readonly phase: PhaseName
  readonly goal?: number
  /** How many times better than others Millrace should be. */
  readonly over?: Partial<Record<SystemName, number>>
}

const mebibyte = 2 ** 20

function figures(sizes: Sizes, store: StoreName): Figure[] {
  const sqlite = store === 'sqlite'
  const number = (value: number) => value.toLocaleString('en')
  const many = `${sizes.latencyConcurrency} at a time`
  const depths = (each: (depth: number) => Figure) => sizes.claimDepths.map(each)
  return [
    {
      name: 'enqueue-single',
      label: `enqueue, ${sizes.singles} single calls at once`,
      unit: 'jobs/s',
      phase: 'enqueue-single',
      ...(sqlite ? { goal: 60_000 } : { over: { 'pg-boss': 5 } }),
    },
    {
      name: 'enqueue-batch',
      label: `enqueue, batches of ${sizes.batch}, ${sizes.batchesInFlight} at once`,
      unit: 'jobs/s',
      phase: 'enqueue-batch',
      ...(sqlite ? { goal: 120_000 } : { over: { 'pg-boss': 5 } }),
    },
    {
      name: 'process',
      label: `process no-op jobs, concurrency ${sizes.concurrency}`,
      unit: 'jobs/s',
      phase: 'process',
      ...(sqlite ? { goal: 40_000 } : { over: { 'pg-boss': 5, 'pg-boss-batches': 5, 'graphile-worker': 2, 'graphile-batches': 2 } }),
    },
    { name: 'latency-p50', label: 'submit to result, one at a time, p50', unit: 'ms', phase: 'latency', ...(sqlite && { goal: 1.5 }) },
    { name: 'latency-p90', label: 'p90', unit: 'ms', phase: 'latency' },
    { name: 'latency-p99', label: 'p99', unit: 'ms', phase: 'latency', ...(sqlite && { goal: 5 }) },
    { name: 'latency-many-p50', label: `submit to result, ${many}, p50`, unit: 'ms', phase: 'latency' },
    { name: 'latency-many-p90', label: 'p90', unit: 'ms', phase: 'latency' },
    { name: 'latency-many-p99', label: 'p99', unit: 'ms', phase: 'latency' },
    ...sizes.nodes.map((nodes): Figure => {
      return {
        name: `nodes-${nodes}`,
        label: `process, ${nodes} server${nodes > 1 ? 's' : ''}, a client for each`,
        unit: 'jobs/s',
        phase: 'nodes',
      }
    }),
    ...depths((depth) => ({
      name: `claim-batch-${depth}`,
      label: `claim ${sizes.claimBatch} jobs, ${number(depth)} waiting`,
      unit: 'ms',
      phase: 'claim',
    })),
    ...depths((depth) => ({ name: `claim-one-${depth}`, label: `claim 1 job, ${number(depth)} waiting`, unit: 'ms', phase: 'claim' })),
    { name: 'start', label: 'server start to ready', unit: 'ms', phase: 'start', goal: 500 },
    ...depths((depth) => ({ name: `start-${depth}`, label: `start with ${number(depth)} waiting`, unit: 'ms', phase: 'claim' })),
    { name: 'rss-idle', label: 'server memory, idle', unit: 'bytes', phase: 'start', goal: 120 * mebibyte },
    ...depths((depth) => ({ name: `rss-${depth}`, label: `server memory, ${number(depth)} waiting`, unit: 'bytes', phase: 'claim' })),
    { name: 'sse-p50', label: `progress to ${number(sizes.subscribers)} readers over HTTP, p50`, unit: 'ms', phase: 'sse' },
    { name: 'sse-p99', label: 'p99', unit: 'ms', phase: 'sse' },
    { name: 'sse-last', label: 'the last of them', unit: 'ms', phase: 'sse' },
    { name: 'sse-memory', label: 'server memory, each reader', unit: 'bytes', phase: 'sse' },
    ...sizes.pipelineWidths.map(
      (width): Figure => ({
        name: `pipeline-${width}`,
        label: `pipeline of ${number(width + 2)} stages, each stage`,
        unit: 'ms',
        phase: 'flow',
      }),
    ),
    { name: 'stateful', label: 'tasks of one state, one after the other', unit: 'jobs/s', phase: 'flow' },
    { name: 'wait-unlimited', label: 'wait behind a customer with 2,000 jobs', unit: 'ms', phase: 'flow' },
    { name: 'wait-limited', label: 'the same with a limit for each customer', unit: 'ms', phase: 'flow' },
    { name: 'wait-fair', label: 'wait behind a customer with 100,000 jobs who takes turns', unit: 'ms', phase: 'flow' },
    { name: 'rate-limit', label: 'starts of jobs of which 1,000 may start in a second', unit: 'jobs/s', phase: 'flow' },
    { name: 'debounce', label: 'triggers of one job that is put off, each acknowledged', unit: 'jobs/s', phase: 'flow' },
    {
      name: 'size-rate',
      label: `${number(sizes.sizeJobs)} jobs through a queue of ${number(sizes.sizeDepth)}`,
      unit: 'jobs/s',
      phase: 'size',
    },
    { name: 'size-hot-first', label: 'tables of live jobs, after a tenth', unit: 'bytes', phase: 'size' },
    { name: 'size-hot-last', label: 'tables of live jobs, after all', unit: 'bytes', phase: 'size' },
    { name: 'size-hot-most', label: 'tables of live jobs, at most', unit: 'bytes', phase: 'size' },
    { name: 'size-ended-last', label: 'tables of ended jobs, after all', unit: 'bytes', phase: 'size' },
    { name: 'size-ended-most', label: 'tables of ended jobs, at most', unit: 'bytes', phase: 'size' },
  ]
}

/** Makes the table of what was measured. */
export function rowsOf(samples: Samples, sizes: Sizes, store: StoreName): Row[] {
  const rows = figures(sizes, store).flatMap((figure) => {
    const cells = cellsOf(figure.name, (system) => samples.rounds(system, figure.name), samples, figure.phase)
    const row = rowOf(figure, cells)
    return cpuPhases.includes(figure.name) ? [row, cpuPerJob(row, figure)] : [row]
  })
  return [...rows, ...claimRatios(samples, sizes), ...memoryAfterLoad(samples)].filter((row) => Object.keys(row.cells).length > 0)
}

function rowOf(figure: Figure, cells: Row['cells']): Row {
  const own = cells.millrace
  const more = figure.unit === 'jobs/s'
  const ratios: Row['ratios'] = {}
  for (const system of systemNames) {
    const other = cells[system]
    if (system === 'millrace' || own === undefined || other === undefined || own.void || other.void) continue
    ratios[system] = more ? own.value / other.value : other.value / own.value
  }
  const { name, label, unit } = figure
  return { name, label, unit, cells, ratios, goals: goalsOf(figure, own, ratios) }
}

/** Figures that are the jobs a second of a whole phase. */
const cpuPhases = ['enqueue-single', 'enqueue-batch', 'process', 'size-rate']

/** What all processes together spent on a job: it holds on a busy machine too, where jobs a second do not. */
function cpuPerJob({ cells }: Row, { name, phase }: Figure): Row {
  const spent: Row['cells'] = {}
  for (const system of systemNames) {
    const cell = cells[system]
    if (cell?.window === undefined) continue
    const { serverCpu, databaseCpu = 0, clientCpu } = cell.window
    const value = ((serverCpu + databaseCpu + clientCpu) / cell.value) * 1e6
    spent[system] = { value, rounds: [value], void: cell.void }
  }
  return rowOf({ name: `${name}-cpu`, label: 'CPU for a job', unit: 'µs', phase }, spent)
}

function goalsOf({ unit, goal, over = {} }: Figure, own: Cell | undefined, ratios: Row['ratios']): Goal[] {
  const goals: Goal[] = []
  if (goal !== undefined && own !== undefined) {
    goals.push({ limit: goal, met: !own.void && (unit === 'jobs/s' ? own.value >= goal : own.value <= goal) })
  }
  for (const system of systemNames) {
    const [limit, ratio] = [over[system], ratios[system]]
    if (limit !== undefined && ratio !== undefined) goals.push({ limit, over: system, met: ratio >= limit })
  }
  return goals
}

function cellsOf(name: string, roundsOf: (system: SystemName) => readonly number[], samples: Samples, phase: PhaseName): Row['cells'] {
  const cells: Row['cells'] = {}
  for (const system of systemNames) {
    const rounds = roundsOf(system)
    if (rounds.length === 0) continue
    cells[system] = { value: median(rounds), rounds, void: samples.isVoid(system, name), window: samples.window(system, phase) }
  }
  return cells
}

/** How much dearer a claim is in a deep queue; the goal is for a million and more. */
function claimRatios(samples: Samples, sizes: Sizes): Row[] {
  const [shallow = 0, ...deep] = sizes.claimDepths
  const text = (depth: number) => depth.toLocaleString('en')
  return deep.flatMap((depth) =>
    ['claim-batch', 'claim-one'].map((kind) => {
      const name = `${kind}-ratio-${depth}`
      const base = samples.rounds('millrace', `${kind}-${shallow}`)
      const rounds = samples.rounds('millrace', `${kind}-${depth}`).map((value, round) => value / base[round]!)
      const jobs = kind === 'claim-batch' ? `${sizes.claimBatch} jobs` : '1 job'
      const label = `claim ${jobs}, ${text(depth)} against ${text(shallow)} waiting`
      const cells = cellsOf(`${kind}-${depth}`, (system) => (system === 'millrace' ? rounds : []), samples, 'claim')
      return rowOf({ name, label, unit: 'ratio', phase: 'claim', ...(depth >= 1_000_000 && { goal: 1.5 }) }, cells)
    }),
  )
}

/** The most that the server had after any of the loads. */
function memoryAfterLoad(samples: Samples): Row[] {
  const loads: PhaseName[] = ['enqueue-single', 'enqueue-batch', 'process', 'latency']
  const most = (system: SystemName) => {
    // Who has no server of its own has none to count.
    const most = Math.max(0, ...loads.map((phase) => samples.window(system, phase)?.serverRss ?? 0))
    return most === 0 ? [] : [most]
  }
  return [
    rowOf(
      { name: 'rss-load', label: 'server memory, after load', unit: 'bytes', phase: 'start' },
      cellsOf('rss-load', most, samples, 'start'),
    ),
  ]
}
