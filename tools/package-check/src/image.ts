import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { exec, userEnvironment } from './exec.ts'

/** The stages of a Dockerfile: each one's instructions, lines that go on joined. */
function stagesOf(dockerfile: string): string[][] {
  const instructions = dockerfile
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return instructions.reduce<string[][]>((stages, line) => {
    if (line.startsWith('FROM ')) stages.push([])
    stages.at(-1)!.push(line)
    return stages
  }, [])
}

/** The words of an instruction that has a JSON array of them. */
function wordsOf(instructions: readonly string[], name: RegExp): string[] {
  const line = instructions.find((instruction) => name.test(instruction))
  return JSON.parse(line!.slice(line!.indexOf('['))) as string[]
}

/**
 * Builds what the image holds by the very commands of the Dockerfile, in a clean copy of the repository, and starts it as the
 * image would, with its health check.
 */
export async function checkImage(root: string, work: string): Promise<void> {
  const [build, final] = stagesOf(readFileSync(join(root, 'Dockerfile'), 'utf8'))
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { packageManager: string }
  const commands = build!.filter((line) => line.startsWith('RUN ')).map((line) => line.slice(4))
  const [first, ...rest] = commands
  if (first !== `npm install --global ${manifest.packageManager}`) throw new Error(`The image has another pnpm than package.json: ${first}`)

  const copy = join(work, 'image-source')
  const app = join(work, 'app')
  const files = await exec('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate'], { cwd: root })
  for (const file of files.trim().split('\n')) cpSync(join(root, file), join(copy, file))
  const path = join(root, 'node_modules/.bin')
  const env = { CI: 'true', TURBO_CACHE_DIR: join(work, 'turbo'), TURBO_TELEMETRY_DISABLED: '1' }
  for (const command of rest) await exec('sh', ['-c', command.replaceAll(' /app', ` ${app}`)], { cwd: copy, path, env, timeout: 300_000 })

  const data = join(work, 'image-data')
  mkdirSync(data)
  const program = join(app, 'dist/cli.js')
  const [entry] = wordsOf(final!, /^ENTRYPOINT/)
  const [probe, ...probeArgs] = wordsOf(final!, /^HEALTHCHECK/)
  if (entry !== 'millrace' || probe !== 'millrace') throw new Error('The image runs something else than millrace.')
  const args = [...wordsOf(final!, /^CMD/), '--json', '--data', data, '--grpc', '127.0.0.1:0']
  const server = spawn(process.execPath, [program, ...args], {
    cwd: data,
    env: userEnvironment({ env: { MILLRACE_LOG_LEVEL: 'error' } }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const ready = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next()
    if (ready.done) throw new Error('The server ended before it was ready.')
    const { grpc } = JSON.parse(ready.value) as { grpc: string }
    await exec(process.execPath, [program, ...probeArgs], { cwd: data, env: { MILLRACE_ENDPOINT: grpc } })
  } finally {
    server.kill('SIGKILL')
  }
}
