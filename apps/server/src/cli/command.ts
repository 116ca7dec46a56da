import type { Output } from './output.ts'

/** A flag of a command. */
export interface Option {
  /** Without the dashes: `max-attempts`. */
  readonly name: string
  /** What stands for its value in help; absent for switches. */
  readonly placeholder?: string
  /** One sentence. */
  readonly help: string
  /** Shown in help. */
  readonly default?: string
  /** The environment variable that sets it too; shown in help. */
  readonly variable?: string
  /** True: may be given more than once. */
  readonly multiple?: boolean
}

/** A word that a command takes after its name. */
export interface Argument {
  /** In capitals: `TASK_ID`. */
  readonly name: string
  readonly help: string
  readonly optional?: boolean
}

/** What a command was called with, checked against its options and arguments. */
export interface Invocation {
  /** Values of flags by name; of those that were given. */
  readonly flags: Readonly<Record<string, string | true | readonly string[]>>
  /** The words, in the order of the command's arguments. */
  readonly words: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly output: Output
  readonly stdin: AsyncIterable<Uint8Array>
}

/** A command of the CLI. */
export interface Command {
  /** Its name after `millrace`: `tasks submit`. */
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** More, for its own help. */
  readonly description?: string
  readonly args?: readonly Argument[]
  readonly options: readonly Option[]
  /** Command lines with what they do. */
  readonly examples: readonly { readonly line: string; readonly does: string }[]
  /** Does it; resolves with the exit code. */
  run(invocation: Invocation): Promise<number>
}

/** The command line is wrong; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The server refused a call, or nobody answered; exit code 1. */
export class CallError extends Error {
  override readonly name = 'CallError'
}
