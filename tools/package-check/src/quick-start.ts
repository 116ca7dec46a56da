import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import ts from 'typescript-5'
import { exec, userEnvironment } from './exec.ts'

/** A file of the quick start. */
export interface QuickStartFile {
  readonly name: string
  readonly code: string
}

/**
 * The quick start's files: the README's `js` blocks after a line that begins with a file's name (`` `worker.mjs` says … ``),
 * in order. The last is a program that ends by itself; those before it, such as a worker, run beside it.
 */
export function readQuickStart(readme: string): QuickStartFile[] {
  const blocks = readFileSync(readme, 'utf8').matchAll(/^`([\w-]+[.]mjs)`[^\n]*\n\n```js\n(.*?)^```$/gms)
  const files = [...blocks].map(([, name, code]) => ({ name: name!, code: code! }))
  if (files.length === 0) throw new Error(`${readme} has no quick start: a line that begins with \`worker.mjs\`, then a js block.`)
  return files
}

/** The same program for a Node that does not know `await using` yet. */
export function forOldNode({ name, code }: QuickStartFile): QuickStartFile {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  return { name, code: ts.transpileModule(code, { compilerOptions }).outputText }
}

/** Folders whose `node` runs something, and the project it runs in. */
export interface Installation {
  /** The folder of the `node` to use. */
  readonly path: string
  /** The project with the packages installed. */
  readonly project: string
}

/** Runs the quick start: the server in one installation, the client in another, as a user would. */
export async function runQuickStart(
  files: readonly { name: string; code: string }[],
  server: Installation,
  client: Installation,
): Promise<void> {
  const started: ChildProcess[] = []
  const start = ({ path, project }: Installation, command: string, args: string[], env = {}) => {
    const child = spawn(command, args, { cwd: project, env: userEnvironment({ path, env }), stdio: ['ignore', 'pipe', 'inherit'] })
    started.push(child)
    return child
  }
  try {
    const millrace = join(server.project, 'node_modules/.bin/millrace')
    const ready = start(server, millrace, ['serve', '--dev', '--json', '--grpc', '127.0.0.1:0', '--log-level', 'warn'])
    const ended = once(ready, 'exit').then(([code]) => Promise.reject(new Error(`millrace serve ended with code ${code}.`)))
    const [line] = (await Promise.race([once(createInterface(ready.stdout!), 'line'), ended])) as [string]
    const { grpc, key } = JSON.parse(line) as { grpc: string; key: string }
    const env = { MILLRACE_ENDPOINT: grpc, MILLRACE_API_KEY: key }
    for (const { name, code } of files) writeFileSync(join(client.project, name), code)
    for (const { name } of files.slice(0, -1)) start(client, 'node', [name], env)
    await exec('node', [files.at(-1)!.name], { cwd: client.project, path: client.path, env, timeout: 30_000 })
    await exec(millrace, ['tasks', 'list'], { cwd: server.project, path: server.path, env })
  } finally {
    await Promise.all(started.reverse().map(stop))
  }
}

/** Asks a process to end: it drains, then ends well or by that signal. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const [code, signal] = await once(child, 'exit')
  if (code !== 0 && signal !== 'SIGTERM')
    throw new Error(`'${child.spawnargs.join(' ')}' ended with code ${code} when it was asked to stop.`)
}
