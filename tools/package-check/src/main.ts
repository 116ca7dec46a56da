// Checks the packages as users get them: `pnpm check:packages`, after `pnpm build`.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { checkTypes } from './consumer.ts'
import { exec } from './exec.ts'
import { checkImage } from './image.ts'
import { type PackedPackage, packAll } from './packages.ts'
import { forOldNode, type Installation, readQuickStart, runQuickStart } from './quick-start.ts'
import { checkTarball } from './tarball.ts'

/** The oldest Node that SDKs support. */
const oldNode = '20.20.2'
const npmInstall = ['install', '--no-audit', '--no-fund', '--prefer-offline']

const root = join(import.meta.dirname, '../../..')
const work = mkdtempSync(join(tmpdir(), 'millrace-packages-'))
let failures = 0

/** Runs one check; says how it went, and goes on either way. */
async function check<T>(name: string, run: () => Promise<T>): Promise<T | undefined> {
  const started = performance.now()
  const seconds = () => `(${((performance.now() - started) / 1000).toFixed(1)} s)`
  try {
    const result = await run()
    console.log(`ok    ${name} ${seconds()}`)
    return result
  } catch (error) {
    failures++
    console.error(`FAIL  ${name} ${seconds()}\n${(error as Error).message.replace(/^/gm, '      ')}`)
    return undefined
  }
}

function checkPackage(packed: PackedPackage): Promise<unknown>[] {
  const { name, tarball, manifest } = packed
  const entrypoints = Object.entries(manifest.exports ?? {}).flatMap(([path, target]) =>
    typeof target === 'object' && target.types ? [path] : [],
  )
  return [
    check(`${name}: what is in the tarball`, () => checkTarball(packed, work)),
    check(`${name}: publint`, () => exec('publint', ['run', tarball, '--strict'], { cwd: root })),
    check(`${name}: are the types wrong`, () =>
      exec('attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--entrypoints', ...entrypoints], { cwd: root }),
    ),
  ]
}

/** Makes an empty project and installs tarballs in it with npm, under the `node` of the folder `path`. */
async function install(name: string, path: string, packages: readonly PackedPackage[]): Promise<Installation> {
  const project = join(work, name)
  mkdirSync(project)
  const tarballs = Object.fromEntries(packages.map((packed) => [packed.name, `file:${packed.tarball}`]))
  // React brings no types; whoever writes TypeScript for it has them.
  const dependencies = { ...tarballs, '@types/react': '19' }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name, private: true, type: 'module', dependencies }))
  const output = await exec('npm', npmInstall, { cwd: project, path })
  if (/EBADENGINE|deprecated/.test(output)) throw new Error(`npm warns:\n${output}`)
  return { path, project }
}

/** Installs the old Node and says where its `node` is. */
async function installOldNode(): Promise<string> {
  const folder = join(work, 'old-node')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts: { node: true } }))
  await exec('npm', [...npmInstall, `node@${oldNode}`], { cwd: folder })
  const path = join(folder, 'node_modules/node/bin')
  const version = await exec('node', ['--version'], { cwd: work, path })
  if (version.trim() !== `v${oldNode}`) throw new Error(`Node ${oldNode} was installed, but what runs is ${version}`)
  return path
}

async function main(): Promise<void> {
  await check('the image: the commands of the Dockerfile, and its health check', () => checkImage(root, work))
  const packed = await check('pack', () => packAll(root, work))
  const oldPath = await check(`install Node ${oldNode}`, installOldNode)
  if (!packed || !oldPath) return
  const sdk = packed.filter(({ manifest }) => manifest.engines?.node === '>=20')
  const newNode = await check('install everything on Node 24', () => install('node-24', dirname(process.execPath), packed))
  const old = await check(`install the SDK on Node ${oldNode}`, () => install('node-20', oldPath, sdk))
  for (const one of packed) await Promise.all(checkPackage(one))
  if (!newNode || !old) return
  await checkTypes(newNode.project, check)
  const quickStart = await check('read the quick start', async () => readQuickStart(join(root, 'README.md')))
  if (!quickStart) return
  await check('quick start: server and client on Node 24', () => runQuickStart(quickStart, newNode, newNode))
  await check(`quick start: server on Node 24, client on Node ${oldNode}`, () => runQuickStart(quickStart.map(forOldNode), newNode, old))
}

try {
  await main()
} finally {
  rmSync(work, { recursive: true, force: true })
}
if (failures > 0) process.exitCode = 1
console.log(failures > 0 ? `${failures} package checks failed.` : 'All package checks passed.')
