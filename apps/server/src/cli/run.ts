import type { Writable } from 'node:stream'
import { editDistance, nearest } from '../suggest.ts'
import { CallError, type Command, UsageError } from './command.ts'
import { account } from './commands/account.ts'
import { archive } from './commands/archive.ts'
import { buckets } from './commands/buckets.ts'
import { databases } from './commands/databases.ts'
import { db } from './commands/db.ts'
import { health } from './commands/health.ts'
import { keys } from './commands/keys.ts'
import { kv } from './commands/kv.ts'
import { objects } from './commands/objects.ts'
import { pipelines } from './commands/pipelines.ts'
import { queues } from './commands/queues.ts'
import { replays } from './commands/replays.ts'
import { schedules } from './commands/schedules.ts'
import { schemas } from './commands/schemas.ts'
import { serve } from './commands/serve.ts'
import { services } from './commands/services.ts'
import { states } from './commands/states.ts'
import { streams } from './commands/streams.ts'
import { tables } from './commands/tables.ts'
import { tasks } from './commands/tasks.ts'
import { vectors } from './commands/vectors.ts'
import { version } from './commands/version.ts'
import { webhooks } from './commands/webhooks.ts'
import { printCommandHelp, printOverview } from './help.ts'
import { Output } from './output.ts'
import { parseCommandLine } from './parse.ts'

/** Every command, in the order of the help. */
export const commands: readonly Command[] = [
  serve,
  ...keys,
  account,
  ...tasks,
  ...pipelines,
  ...states,
  ...queues,
  ...schedules,
  ...streams,
  ...replays,
  ...kv,
  ...tables,
  ...vectors,
  ...schemas,
  ...buckets,
  ...objects,
  ...webhooks,
  ...databases,
  ...db,
  ...archive,
  services,
  health,
  version,
]

/** What the CLI runs in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: AsyncIterable<Uint8Array>
  readonly stdout: Writable
  readonly stderr: Writable
}

/**
 * Runs one command line.
 *
 * @param argv - the words after `millrace`.
 * @returns the exit code: 0 done, 1 failed, 2 the command line is wrong.
 */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { env, stdin } = surroundings
  const output = new Output(surroundings)
  const { command, rest, problem } = findCommand(argv, output)
  if (!command) return problem
  try {
    const { flags, words, help } = parseCommandLine(command, rest)
    if (help) {
      printCommandHelp(output, command)
      return 0
    }
    return await command.run({ flags, words, env, output, stdin })
  } catch (error) {
    return report(error, command, output)
  }
}

/** The command that the words begin with; when there is none, help was printed or the problem told. */
function findCommand(argv: readonly string[], output: Output): { command?: Command; rest: readonly string[]; problem: number } {
  const words = argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv
  if (words[0] === '--version' || words[0] === '-v') return { command: version, rest: [], problem: 0 }
  const end = words.findIndex((word) => word.startsWith('-'))
  const named = end < 0 ? words : words.slice(0, end)
  for (let length = named.length; length > 0; length--) {
    const command = commands.find(({ name }) => name === named.slice(0, length).join(' '))
    if (command) return { command, rest: words.slice(length), problem: 0 }
  }
  const asked = words.length === 0 || words.includes('--help') || words.includes('-h')
  if (named.length === 0 && !asked) {
    output.error(`'${words[0]}' stands where a command is expected; flags come after it`)
    output.remark('See: millrace --help')
    return { rest: [], problem: 2 }
  }
  const members = commands.filter(({ name }) => named.length === 0 || name.startsWith(`${named.join(' ')} `))
  if (members.length > 0) {
    printOverview(output, members, named.join(' '))
    return { rest: [], problem: asked ? 0 : 2 }
  }
  const group = named.findLastIndex((_, last) => commands.some(({ name }) => name.startsWith(`${named.slice(0, last + 1).join(' ')} `))) + 1
  // What follows may be long: a payload, or SQL.
  output.error(`There is no command '${named.slice(0, Math.max(group + 1, 2)).join(' ')}'${suggestion(named)}`)
  output.remark(`See: ${['millrace', ...named.slice(0, group), '--help'].join(' ')}`)
  return { rest: [], problem: 2 }
}

function suggestion(named: readonly string[]): string {
  for (let length = Math.min(named.length, 3); length > 0; length--) {
    // Word by word, or the right name of a group would make up for a last word that is like none of its commands.
    const alike = commands
      .map(({ name }) => name)
      .filter((name) => {
        const parts = name.split(' ')
        return parts.length !== length || parts.every((part, index) => editDistance(part, named[index]!) <= 2)
      })
    const meant = nearest(named.slice(0, length).join(' '), alike)
    if (meant) return `; did you mean 'millrace ${meant}'?`
  }
  return ''
}

function report(error: unknown, command: Command, output: Output): number {
  if (error instanceof UsageError) {
    output.error(error.message)
    output.remark(`See: millrace ${command.name} --help`)
    return 2
  }
  if (error instanceof CallError) {
    output.error(error.message)
    return 1
  }
  throw error
}
