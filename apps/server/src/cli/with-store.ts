import { ArchiveError } from '../archive/format.ts'
import { ConfigError, loadConfig } from '../config/load.ts'
import { MillraceError } from '../errors.ts'
import { type StoreTools, storeTools } from '../stores.ts'
import { CallError, type Invocation } from './command.ts'
import { textFlag } from './values.ts'

/** Does something to the store that the flags, the environment or the file of settings name; says in one line what went wrong. */
export async function withStore<T>({ flags, env }: Pick<Invocation, 'flags' | 'env'>, work: (store: StoreTools) => Promise<T>): Promise<T> {
  try {
    const given = { store: textFlag(flags, 'store'), data: textFlag(flags, 'data') }
    const { config } = await loadConfig({ flags: given, env, file: textFlag(flags, 'config') })
    return await work(storeTools(config))
  } catch (error) {
    const told = error instanceof MillraceError || error instanceof ArchiveError || error instanceof ConfigError || isOfFiles(error)
    throw told ? new CallError((error as Error).message, { cause: error }) : error
  }
}

/** A file cannot be read or written: Node's message names it and says why. */
function isOfFiles(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
