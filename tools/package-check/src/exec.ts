import { spawn } from 'node:child_process'
import process from 'node:process'

/** How to run a command. */
export interface ExecOptions {
  readonly cwd: string
  /** Put before the rest of PATH: whose `node` it is. */
  readonly path?: string
  readonly env?: Readonly<Record<string, string>>
  /** How long it may take, in milliseconds; 2 minutes by default. */
  readonly timeout?: number
}

/**
 * The environment of a user's shell: none of what npm and pnpm set for the scripts of this repository, but the machine's own
 * npm settings (proxy, registry, certificates).
 */
export function userEnvironment({ path, env }: Pick<ExecOptions, 'path' | 'env'>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(?!config_(global|user)config$)|pnpm_|NODE_OPTIONS$|NODE_PATH$)/i.test(name),
  )
  return { ...Object.fromEntries(inherited), ...env, ...(path && { PATH: `${path}:${process.env.PATH}` }) }
}

/**
 * Runs a command to its end.
 *
 * @returns what it wrote to standard output and standard error.
 * @throws Error with that when it fails or takes too long.
 */
export async function exec(command: string, args: readonly string[], options: ExecOptions): Promise<string> {
  const timeout = options.timeout ?? 120_000
  const child = spawn(command, args, { cwd: options.cwd, env: userEnvironment(options), stdio: ['ignore', 'pipe', 'pipe'], timeout })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ending = await new Promise<string>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ?? `code ${code}`))
  })
  if (ending !== 'code 0') throw new Error(`'${command} ${args.join(' ')}' ended with ${ending}:\n${output}`)
  return output
}
