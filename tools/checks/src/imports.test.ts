import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { cruise, type ICruiseOptions, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser'
import { afterAll, describe, expect, it } from 'vitest'
import { root } from './workspace.ts'

const { forbidden, options }: { forbidden: IForbiddenRuleType[]; options: ICruiseOptions } = createRequire(import.meta.url)(
  join(root, '.dependency-cruiser.cjs'),
)

/** A small repository in which every import is allowed. */
const sound: Record<string, string> = {
  'packages/protocol/src/index.ts': 'export const a = 1',
  'packages/core/src/index.ts': "export { a } from '@millrace/protocol'",
  'packages/core/src/index.test.ts': "import 'node:fs'\nimport './index.ts'",
  'packages/web/src/index.ts': "import '@millrace/protocol'\nexport { a } from '@millrace/core'",
  'packages/react/src/index.ts': "export { a } from '@millrace/core'",
  'packages/vue/src/index.ts': "export { a } from '@millrace/core'",
  'packages/client/src/index.ts': "import 'node:fs'\nexport { a } from '@millrace/core'",
  'packages/testing/src/index.ts': "import '@millrace/client'\nimport '@millrace/server'",
  'apps/server/src/index.ts': "import './main.ts'",
  'apps/server/src/main.ts': "import './transport/grpc.ts'\nimport './store/sqlite/store.ts'",
  'apps/server/src/transport/grpc.ts': "import '../services/tasks.ts'",
  'apps/server/src/services/tasks.ts': "import '../domain/jobs.ts'",
  'apps/server/src/domain/jobs.ts': "import type { Store } from '../store/ports.ts'\nexport type Jobs = Store",
  'apps/server/src/domain/objects/backend.ts': 'export type Backend = string',
  'apps/server/src/backends/objects/disk.ts': "import type { Backend } from '../../domain/objects/backend.ts'\nexport type Disk = Backend",
  'apps/server/src/open-backends.ts': "import type { Disk } from './backends/objects/disk.ts'\nexport type Backends = Disk",
  'apps/server/src/store/ports.ts': "import '@millrace/protocol'\nexport type Store = string",
  'apps/server/src/store/postgres/store.ts': "import 'pg'\nimport '../ports.ts'",
  'apps/server/src/store/sqlite/store.ts': "import 'node:sqlite'\nimport '../ports.ts'",
}

/** Rules, and files that break that rule and nothing else. */
const violations: [rule: string, files: Record<string, string>][] = [
  ['arrows-protocol', { 'packages/protocol/src/bad.ts': "import '@millrace/client'" }],
  ['arrows-core', { 'packages/core/src/bad.ts': "import '@millrace/client'" }],
  ['arrows-client', { 'packages/client/src/bad.ts': "import '@millrace/server'" }],
  ['arrows-web', { 'packages/web/src/bad.ts': "import '@millrace/client'" }],
  ['arrows-react', { 'packages/react/src/bad.ts': "import '@millrace/protocol'" }],
  ['arrows-vue', { 'packages/vue/src/bad.ts': "import '@millrace/react'" }],
  ['arrows-server', { 'apps/server/src/bad.ts': "import '@millrace/core'" }],
  ['arrows-attestation', { 'packages/attestation/src/bad.ts': "import '@millrace/core'" }],
  ['arrows-attestation-tests', { 'packages/attestation/src/bad.test.ts': "import '@millrace/core'" }],
  ['arrows-testing', { 'packages/testing/src/bad.ts': "import '@millrace/protocol'" }],
  ['arrows-protocol-tests', { 'packages/protocol/src/bad.test.ts': "import '@millrace/client'" }],
  ['arrows-core-tests', { 'packages/core/src/bad.test.ts': "import '@millrace/client'" }],
  ['arrows-client-tests', { 'packages/client/src/bad.test.ts': "import '@millrace/server'" }],
  ['arrows-web-tests', { 'packages/web/src/bad.test.ts': "import '@millrace/client'" }],
  ['arrows-react-tests', { 'packages/react/src/bad.test.ts': "import '@millrace/client'" }],
  ['arrows-vue-tests', { 'packages/vue/src/bad.test.ts': "import '@millrace/client'" }],
  ['arrows-server-tests', { 'apps/server/src/bad.test.ts': "import '@millrace/core'" }],
  ['arrows-testing-tests', { 'packages/testing/src/bad.test.ts': "import '@millrace/protocol'" }],
  ['no-cycles', { 'packages/core/src/one.ts': "import './two.ts'", 'packages/core/src/two.ts': "import './one.ts'" }],
  ['no-deep-imports', { 'packages/core/src/bad.ts': "import '../../protocol/src/index.ts'" }],
  ['no-unresolved', { 'packages/core/src/bad.ts': "import '@millrace/protocol/src/index.ts'" }],
  ['no-dev-dependencies', { 'packages/client/src/bad.ts': "import 'vitest'" }],
  ['core-runs-anywhere', { 'packages/core/src/bad.ts': "import 'node:fs'" }],
  ['core-runs-anywhere', { 'packages/web/src/bad.ts': "import 'node:fs'" }],
  ['server-services', { 'apps/server/src/services/bad.ts': "import '../transport/grpc.ts'" }],
  ['server-domain', { 'apps/server/src/domain/bad.ts': "import '../services/tasks.ts'" }],
  ['server-store', { 'apps/server/src/store/sqlite/bad.ts': "import type { Jobs } from '../../domain/jobs.ts'\nexport type J = Jobs" }],
  ['server-composition', { 'apps/server/src/domain/bad.ts': "import '../store/sqlite/store.ts'" }],
  ['server-adapters', { 'apps/server/src/store/sqlite/bad.ts': "import '../postgres/store.ts'" }],
  ['server-backends', { 'apps/server/src/backends/objects/bad.ts': "import '../../domain/jobs.ts'" }],
  [
    'server-backends-composition',
    { 'apps/server/src/domain/bad.ts': "import type { Disk } from '../backends/objects/disk.ts'\nexport type D = Disk" },
  ],
  ['server-sql', { 'apps/server/src/services/bad.ts': "import 'node:sqlite'" }],
  ['server-sql', { 'apps/server/src/domain/bad.ts': "import 'pg'" }],
]

const manifests: Record<string, object> = {
  'packages/protocol': { name: '@millrace/protocol' },
  'packages/core': { name: '@millrace/core' },
  'packages/web': { name: '@millrace/web' },
  'packages/react': { name: '@millrace/react' },
  'packages/vue': { name: '@millrace/vue' },
  'packages/client': { name: '@millrace/client', devDependencies: { vitest: '1.0.0' } },
  'packages/attestation': { name: '@millrace/attestation' },
  'packages/testing': { name: '@millrace/testing' },
  'apps/server': { name: '@millrace/server', dependencies: { pg: '1.0.0' } },
}

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

/** Names of the rules that the check finds broken in a repository of these files. */
async function check(files: Record<string, string>): Promise<(string | undefined)[]> {
  const baseDir = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-imports-')))
  folders.push(baseDir)
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(baseDir, path)), { recursive: true })
    writeFileSync(join(baseDir, path), text)
  }
  for (const [path, text] of Object.entries(files)) write(path, text)
  for (const [folder, manifest] of Object.entries(manifests)) {
    const exports = { '.': { 'millrace-source': './src/index.ts' } }
    write(`${folder}/package.json`, JSON.stringify({ exports, ...manifest }))
  }
  for (const name of ['vitest', 'pg']) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: 'index.js' }))
    write(`node_modules/${name}/index.js`, '')
  }
  linkPackages(baseDir)
  const { output } = await cruise(['packages', 'apps'], { ...options, baseDir, ruleSet: { forbidden }, validate: true })
  return (output as ICruiseResult).summary.violations.map(({ rule }) => rule.name)
}

function linkPackages(baseDir: string): void {
  mkdirSync(join(baseDir, 'node_modules/@millrace'), { recursive: true })
  for (const folder of Object.keys(manifests))
    symlinkSync(join(baseDir, folder), join(baseDir, 'node_modules/@millrace', folder.split('/')[1]!))
}

describe('import directions', () => {
  it('finds nothing wrong in a sound repository', async () => {
    expect(await check(sound)).toEqual([])
  })

  it.each(violations)('%s: finds a planted violation', async (rule, files) => {
    const found = await check({ ...sound, ...files })
    expect(new Set(found)).toEqual(new Set([rule]))
  })

  it('has a planted violation for every rule', () => {
    expect(new Set(violations.map(([rule]) => rule))).toEqual(new Set(forbidden.map((rule) => rule.name)))
  })

  it('has a rule for every package', () => {
    const packages = ['packages', 'apps'].flatMap((folder) => readdirSync(join(root, folder)))
    expect(forbidden.map((rule) => rule.name)).toEqual(expect.arrayContaining(packages.map((name) => `arrows-${name}`)))
  })
})
