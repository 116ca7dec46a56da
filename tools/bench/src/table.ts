import type { MachineFacts } from './machine.ts'
import type { Cell, Goal, Row, Unit } from './rows.ts'
import { type SystemName, systemNames } from './samples.ts'

const titles: Record<SystemName, string> = {
  millrace: 'Millrace',
  'bullmq-always': 'BullMQ always',
  'bullmq-everysec': 'BullMQ everysec',
  'pg-boss': 'pg-boss',
  'pg-boss-batches': 'pg-boss batches',
  'graphile-worker': 'graphile',
  'graphile-batches': 'graphile batches',
}

/** What the figures were measured on, in one paragraph. */
export function describeMachine(facts: MachineFacts): string {
  const disk = `${facts.disk}, fsync p50 ${facts.fsyncP50.toFixed(2)} ms, p99 ${facts.fsyncP99.toFixed(2)} ms`
  return `${facts.cores} cores of ${facts.cpu}, ${facts.memoryGiB} GiB, node ${facts.node}; ${disk}; load before ${facts.load.toFixed(2)}`
}

/** Draws the table. CPU is server / client, or server / Postgres / client, in percent of one core. */
export function drawTable(rows: readonly Row[]): string {
  const systems = systemNames.filter((system) => rows.some((row) => row.cells[system] !== undefined))
  const others = systems.filter((system) => system !== 'millrace')
  const header = [
    '',
    ...systems.flatMap((system) => [titles[system], 'CPU']),
    ...others.map((system) => `vs ${system.replace('bullmq-', '')}`),
    'goal',
  ]
  const lines = rows.map((row) => [
    row.label,
    ...systems.flatMap((system) => [value(row.cells[system], row.unit), cpu(row.cells[system])]),
    ...others.map((system) => ratio(row, system)),
    goalText(
      row.goals.find(({ over }) => over === undefined),
      (limit) => `${row.unit === 'jobs/s' ? '≥' : '≤'} ${format(limit, row.unit)}`,
    ),
  ])
  return align([header, ...lines])
}

function ratio({ ratios, goals }: Row, system: SystemName): string {
  if (ratios[system] === undefined) return ''
  const goal = goalText(
    goals.find(({ over }) => over === system),
    (limit) => ` (≥ ${limit})`,
  )
  return `${ratios[system].toFixed(2)} x${goal}`
}

function goalText(goal: Goal | undefined, text: (limit: number) => string): string {
  return goal === undefined ? '' : `${text(goal.limit)} ${goal.met ? '✓' : '✗'}`
}

function value(cell: Cell | undefined, unit: Unit): string {
  if (cell === undefined) return ''
  return cell.void ? 'void' : format(cell.value, unit)
}

function cpu(cell: Cell | undefined): string {
  if (cell?.window === undefined) return ''
  const { serverCpu, databaseCpu, clientCpu } = cell.window
  const parts = databaseCpu === undefined ? [serverCpu, clientCpu] : [serverCpu, databaseCpu, clientCpu]
  return `${parts.map((cpu) => Math.round(cpu * 100)).join('/')} %`
}

function format(value: number, unit: Unit): string {
  if (unit === 'jobs/s') return `${(value / 1000).toFixed(1)} k/s`
  if (unit === 'bytes') return value < 2 ** 20 ? `${Math.round(value / 1024)} KiB` : `${Math.round(value / 2 ** 20)} MiB`
  if (unit === 'µs') return `${value.toFixed(1)} µs`
  if (unit === 'ratio') return value.toFixed(2)
  return value >= 100 ? `${Math.round(value)} ms` : `${value.toFixed(2)} ms`
}

/** The first column to the left, all others to the right. */
function align(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const drawn = lines.map((line) =>
    line
      .map((text, column) => (column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
  return [drawn[0], '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2)), ...drawn.slice(1)].join('\n')
}
