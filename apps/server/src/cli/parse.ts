import { parseArgs } from 'node:util'
import { nearest } from '../suggest.ts'
import { type Command, type Invocation, UsageError } from './command.ts'

/** What stands after a command's name, parsed; `help` when help was asked for. */
export type Parsed = Pick<Invocation, 'flags' | 'words'> & { readonly help: boolean }

/**
 * Parses the words after a command's name.
 *
 * @throws {@link UsageError} with what was meant, when that can be guessed.
 */
export function parseCommandLine(command: Command, argv: readonly string[]): Parsed {
  const options = new Map(command.options.map((option) => [option.name, option]))
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries([
      ['help', { type: 'boolean', short: 'h' }],
      ...command.options.map(({ name, placeholder, multiple = false }) => [name, { type: placeholder ? 'string' : 'boolean', multiple }]),
    ]),
  })
  const flags: Record<string, string | true | string[]> = {}
  const words: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    if (token.name === 'help' || token.name === 'h') return { flags, words, help: true }
    const option = options.get(token.name)
    if (!option) throw new UsageError(unknownFlag(token.rawName, [...options.keys()]))
    if (option.placeholder && token.value === undefined)
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${option.placeholder}`)
    if (!option.placeholder && token.value !== undefined) throw new UsageError(`${token.rawName} is a switch and takes no value`)
    if (option.multiple) flags[option.name] = [...((flags[option.name] as string[] | undefined) ?? []), token.value!]
    else if (option.name in flags) throw new UsageError(`${token.rawName} is given more than once`)
    else flags[option.name] = token.value ?? true
  }
  checkWords(command, words)
  return { flags, words, help: false }
}

function checkWords(command: Command, words: readonly string[]): void {
  const args = command.args ?? []
  const missing = args.find((arg, index) => !arg.optional && words[index] === undefined)
  if (missing) throw new UsageError(`${missing.name} is missing: ${missing.help}`)
  if (words.length > args.length) {
    throw new UsageError(`'${words[args.length]}' is one word too many${args.length > 0 ? '; a value with blanks needs quotes' : ''}`)
  }
}

function unknownFlag(flag: string, known: readonly string[]): string {
  const meant = nearest(flag.replace(/^-+/, ''), known)
  return `There is no flag ${flag}${meant ? `; did you mean --${meant}?` : ''}`
}
