import type { Command, Option } from './command.ts'
import type { Output } from './output.ts'

/** Columns a help text is wrapped to. */
const width = 100

/** What every command takes. */
const helpOption: Option = { name: 'help', help: 'Show this help.' }

/** Writes the help of one command. */
export function printCommandHelp(output: Output, command: Command): void {
  const args = (command.args ?? []).map(({ name, optional }) => (optional ? `[${name}]` : name))
  output.line(output.style('bold', ['Usage: millrace', command.name, ...args, '[OPTIONS]'].join(' ')))
  output.line()
  for (const line of wrap(command.description ?? command.summary, width)) output.line(line)
  if (command.args?.length) {
    output.line(`\n${output.style('bold', 'Arguments')}`)
    printRows(
      output,
      command.args.map(({ name, help }) => [name, help]),
    )
  }
  output.line(`\n${output.style('bold', 'Options')}`)
  printRows(output, [...command.options, helpOption].map(optionRow))
  output.line(`\n${output.style('bold', 'Examples')}`)
  for (const { line, does } of command.examples) {
    output.line(`  ${output.style('dim', `# ${does}`)}`)
    output.line(`  ${line}`)
  }
}

/** Writes the list of commands: of a group, or all where that is ''. */
export function printOverview(output: Output, commands: readonly Command[], group: string): void {
  output.line(output.style('bold', group ? `Usage: millrace ${group} COMMAND` : 'Usage: millrace COMMAND'))
  output.line()
  if (!group) output.line('Durable work and data behind one endpoint: a server and its tools. Start one with: millrace serve --dev\n')
  output.line(output.style('bold', 'Commands'))
  printRows(
    output,
    commands.map(({ name, args = [], summary }) => {
      const words = args.map((arg) => (arg.optional ? `[${arg.name}]` : arg.name))
      return [[name, ...words].join(' '), summary]
    }),
  )
  output.line()
  output.line('Each command tells its options and examples with --help.')
  if (!group) {
    output.line('Commands that call a server find it by --endpoint and --key, or by MILLRACE_ENDPOINT and MILLRACE_API_KEY.')
  }
}

function optionRow({ name, placeholder, help, default: fallback, variable, multiple }: Option): [string, string] {
  const notes = [
    ...(fallback === undefined ? [] : [`Default: ${fallback}.`]),
    ...(multiple ? ['May be repeated.'] : []),
    ...(variable ? [`[${variable}]`] : []),
  ]
  return [placeholder ? `--${name} ${placeholder}` : `--${name}`, [help, ...notes].join(' ')]
}

function printRows(output: Output, rows: readonly (readonly [string, string] | readonly string[])[]): void {
  const left = Math.max(...rows.map(([name]) => name!.length))
  for (const [name, help] of rows) {
    const [first = '', ...rest] = wrap(help!, Math.max(40, width - left - 4))
    output.line(`  ${output.style('cyan', name!.padEnd(left))}  ${first}`)
    for (const line of rest) output.line(`  ${' '.repeat(left)}  ${line}`)
  }
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
