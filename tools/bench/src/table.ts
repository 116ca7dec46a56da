import type { MachineFacts } from './machine.ts'
import type { Cell, Row, Unit } from './rows.ts'
import { type SystemName, systemNames } from './samples.ts'

const titles: Record<SystemName, string> = { millrace: 'Millrace', 'bullmq-always': 'BullMQ always', 'bullmq-everysec': 'BullMQ everysec' }

/** What the figures were measured on, in one paragraph. */
export function describeMachine(facts: MachineFacts): string {
  const disk = `${facts.disk}, fsync p50 ${facts.fsyncP50.toFixed(2)} ms, p99 ${facts.fsyncP99.toFixed(2)} ms`
  return `${facts.cores} cores of ${facts.cpu}, ${facts.memoryGiB} GiB, node ${facts.node}; ${disk}; load before ${facts.load.toFixed(2)}`
}

/** Draws the table. CPU is server / client, in percent of one core. */
export function drawTable(rows: readonly Row[]): string {
  const systems = systemNames.filter((system) => rows.some((row) => row.cells[system] !== undefined))
  const others = systems.filter((system) => system !== 'millrace')
  const header = [
    '',
    ...systems.flatMap((system) => [titles[system], 'CPU']),
    ...others.map((system) => `vs ${system.replace('bullmq-', '')}`),
    'goal',
    '',
  ]
  const lines = rows.map((row) => [
    row.label,
    ...systems.flatMap((system) => [value(row.cells[system], row.unit), cpu(row.cells[system])]),
    ...others.map((system) => (row.ratios[system] === undefined ? '' : `${row.ratios[system].toFixed(2)} x`)),
    row.goal === undefined ? '' : `${row.unit === 'jobs/s' ? '≥' : '≤'} ${format(row.goal.limit, row.unit)}`,
    row.goal === undefined ? '' : row.goal.met ? '✓' : '✗',
  ])
  return align([header, ...lines])
}

function value(cell: Cell | undefined, unit: Unit): string {
  if (cell === undefined) return ''
  return cell.void ? 'void' : format(cell.value, unit)
}

function cpu(cell: Cell | undefined): string {
  if (cell?.window === undefined) return ''
  return `${Math.round(cell.window.serverCpu * 100)}/${Math.round(cell.window.clientCpu * 100)} %`
}

function format(value: number, unit: Unit): string {
  if (unit === 'jobs/s') return `${(value / 1000).toFixed(1)} k/s`
  if (unit === 'bytes') return `${Math.round(value / 2 ** 20)} MiB`
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
