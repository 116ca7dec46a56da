import type { Server } from './processes.ts'
import type { Summary } from './tasks.ts'

/** The summary as a table for people. */
export function table(summary: Summary, durationMs: number): string {
  const rows = summary.top.map(({ path, lines, words, longestLine, hash }) => [path, lines, words, longestLine, hash.slice(0, 12)])
  const cells = [['file', 'lines', 'words', 'longest line', 'sha-256'], ...rows].map((row) => row.map((cell) => cell.toLocaleString('en')))
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const lines = cells.map((row) => row.map((cell, i) => (isNumber(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  '))
  const { files, longestLine } = summary
  const seconds = durationMs / 1000
  return [
    '',
    lines[0]?.trimEnd(),
    widths.map((width) => '─'.repeat(width)).join('  '),
    ...lines.slice(1),
    '',
    `${files} files, ${summary.lines.toLocaleString('en')} lines, ${summary.words.toLocaleString('en')} words.`,
    `The longest line has ${longestLine.length} characters: ${longestLine.path}.`,
    `${files + 1} tasks in ${seconds.toFixed(2)} s: ${Math.round((files + 1) / seconds)} tasks/s.`,
  ].join('\n')
}

function isNumber(column: number): boolean {
  return column >= 1 && column <= 3
}

/** What to try on a server that stays up. */
export function nextSteps({ endpoint, key }: Server, folder: string, path: string): string {
  return `
The server and its worker stay up until Ctrl-C. Try, in another terminal, in this folder:

  export MILLRACE_ENDPOINT=${endpoint} MILLRACE_API_KEY=${key}
  npm run millrace -- tasks list
  npm run millrace -- tasks submit measure '${JSON.stringify({ folder, path })}' --wait
  npm run millrace -- queues stats default
`
}
