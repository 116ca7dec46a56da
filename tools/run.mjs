// What `npm start` and `npm test` run on a machine that has git, npm and Node 18 or later, and nothing else:
// installs what is missing, builds, then runs the example or the tests with the Node and pnpm that the repository pins.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = join(root, 'node_modules/.bin')
const env = {
  ...process.env,
  PATH: bin + delimiter + process.env.PATH,
  TURBO_TELEMETRY_DISABLED: '1',
  // npm and pnpm try for minutes when there is no network.
  npm_config_fetch_retries: '1',
  npm_config_fetch_retry_mintimeout: '1000',
}
/** How long a child may take to end after the first Ctrl-C. */
const graceMs = 15_000

class Failure extends Error {}

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()
/** What comes so soon after a signal is the same one: the terminal and npm each pass one Ctrl-C on. */
const sameSignalMs = 300
/** @type {NodeJS.Signals | undefined} */
let stopped
let stoppedAt = 0
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    if (stopped && performance.now() - stoppedAt <= sameSignalMs) return
    stoppedAt = performance.now()
    // A second Ctrl-C ends at once.
    for (const child of running) signalGroup(child, stopped ? 'SIGKILL' : signal)
    stopped ??= signal
    setTimeout(() => {
      for (const child of running) signalGroup(child, 'SIGKILL')
    }, graceMs).unref()
  })
}

/**
 * Children lead process groups of their own, so that whatever they started ends with them.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function signalGroup(child, signal) {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error
  }
}

/**
 * Runs a command to its end, with the terminal's output or, given `onOutput`, with that.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, onOutput?: (text: string) => void }} [options]
 * @returns {Promise<number>} its exit code
 */
async function run(command, args, options = {}) {
  const output = options.onOutput ? 'pipe' : 'inherit'
  const child = spawn(command, args, { cwd: root, env: { ...env, ...options.env }, stdio: ['ignore', output, output], detached: true })
  running.add(child)
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => options.onOutput?.(text))
  }
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, signal) => {
        signalGroup(child, 'SIGKILL')
        resolve(code ?? 128 + (signal ? constants.signals[signal] : 0))
      })
    })
  } finally {
    running.delete(child)
    if (stopped) process.exit(128 + constants.signals[stopped])
  }
}

/**
 * Runs a command behind one line that says how it is going; shows what it printed only when it fails.
 *
 * @param {string} title
 * @param {string} command
 * @param {readonly string[]} args
 */
async function step(title, command, args) {
  const started = Date.now()
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`
  const isTerminal = process.stderr.isTTY && !process.env.CI
  let log = ''
  const draw = () => {
    const last = log.trimEnd().split('\n').at(-1) ?? ''
    const line = `${title} … ${seconds()}  ${last.replace(/[^\x20-\x7e]+/g, ' ').trim()}`
    process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
  }
  const timer = isTerminal ? setInterval(draw, 100) : undefined
  if (!isTerminal) process.stderr.write(`${title} …\n`)
  const code = await run(command, args, { env: { CI: 'true' }, onOutput: (text) => (log = (log + text).slice(-1_000_000)) }).finally(() => {
    clearInterval(timer)
    if (isTerminal) process.stderr.write('\r\x1b[K')
  })
  if (code !== 0) {
    process.stderr.write(log)
    throw new Failure(explain(title, `${command} ${args.join(' ')}`, code, log))
  }
  process.stderr.write(`${title}: done in ${seconds()}\n`)
}

/**
 * @param {string} title
 * @param {string} command
 * @param {number} code
 * @param {string} log
 */
function explain(title, command, code, log) {
  const isOffline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|dns error|error sending request/i.test(
    log,
  )
  if (!isOffline) return `${title} failed: '${command}' ended with code ${code}. Its output is above.`
  return [
    `${title} failed: the npm registry cannot be reached. The first run downloads the dependencies (about 750 MB on disk).`,
    'Connect this machine to the network, or tell npm its proxy or mirror, and run the same command again:',
    '  npm config set proxy http://HOST:PORT && npm config set https-proxy http://HOST:PORT',
    '  npm config set registry https://MIRROR/',
  ].join('\n')
}

async function install() {
  const lockfile = readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8')
  const installed = join(root, 'node_modules/.pnpm/lock.yaml')
  const isCurrent = existsSync(join(bin, 'node')) && existsSync(installed) && readFileSync(installed, 'utf8') === lockfile
  if (isCurrent) return
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  await step('Installing dependencies', 'npx', ['--yes', packageManager, 'install', '--frozen-lockfile'])
}

async function test(/** @type {string[]} */ args) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tests-'))
  const file = join(folder, 'counts.json')
  try {
    // On two cores vitest would run one file after the other, of which many wait most of their time.
    // The servers are those just built: from sources, each start would first strip the types of some 500 files.
    const code = await run('vitest', ['run', '--maxWorkers=2', ...args], { env: { TEST_COUNTS_FILE: file, TEST_BUILT_SERVER: '1' } })
    if (!existsSync(file)) throw new Failure(`The tests did not run: vitest ended with code ${code}.`)
    /** @type {{ passed: number, failed: number, skipped: { name: string, reason?: string }[] }} */
    const { passed, failed, skipped } = JSON.parse(readFileSync(file, 'utf8'))
    const unexplained = skipped.filter((test) => !test.reason)
    for (const { name, reason } of skipped) console.log(`skipped: ${name}: ${reason ?? 'no reason given, which counts as failed'}`)
    console.log(`${passed} passed, ${failed + unexplained.length} failed, ${skipped.length - unexplained.length} skipped`)
    const isGood = code === 0 && passed > 0 && failed + unexplained.length === 0
    return isGood ? 0 : code || 1
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function main() {
  const [job, ...args] = process.argv.slice(2)
  if (job !== 'start' && job !== 'test') throw new Failure(`Unknown job '${job}'. Say: node tools/run.mjs start|test [options]`)
  await install()
  await step('Building', 'turbo', ['run', 'build', ...(job === 'start' ? ['--filter', '@millrace/example-files...'] : [])])
  if (job === 'test') return test(args)
  const example = join(root, 'examples/files')
  return run('node', [join(example, 'src/main.ts'), ...args], { env: { PATH: join(example, 'node_modules/.bin') + delimiter + env.PATH } })
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Failure ? error.message : error)
  process.exitCode = 1
}
