// Compares the public API with its reports in docs/api, and says what lacks documentation: `node api-report.ts [--write]`.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { type ApiModule, readPublicApi } from './public-api.ts'
import { root } from './workspace.ts'

/** The least share of a package's exported names, and of their members, that says what it is. */
const leastDocumented = { export: 0.95, member: 0.8 }

const reports = join(root, 'docs/api')

const modules = readPublicApi(root)
const packages = Object.entries(Object.groupBy(modules, (module) => module.package))
const undocumented = packages.flatMap(([name, ofPackage = []]) => checkDocumentation(name, ofPackage))
const problems = [...undocumented, ...(process.argv.includes('--write') ? writeReports() : compareReports())]
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

function checkDocumentation(name: string, ofPackage: readonly ApiModule[]): string[] {
  return (['export', 'member'] as const).flatMap((kind) => {
    const all = ofPackage.flatMap(({ symbols }) => symbols.filter((symbol) => symbol.kind === kind))
    const missing = all.filter((symbol) => !symbol.documented)
    const share = all.length === 0 ? 1 : 1 - missing.length / all.length
    const list = missing.map((symbol) => symbol.name).join(', ')
    console.log(`${name}: ${(share * 100).toFixed(1)} % of ${all.length} ${kind}s documented${list && `; not: ${list}`}`)
    const least = leastDocumented[kind]
    return share < least ? [`${name}: document more of its ${kind}s: at least ${least * 100} % must say what they are.`] : []
  })
}

function fileOf({ name }: ApiModule): string {
  return `${name.replace('@millrace/', '').replaceAll('/', '.')}.md`
}

function render({ name, text }: ApiModule): string {
  return `# ${name}\n\nEverything \`${name}\` exports, written by \`pnpm api:write\`. A change here is a change for users.\n\n\`\`\`ts\n${text}\n\`\`\`\n`
}

function writeReports(): string[] {
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports, { recursive: true })
  for (const module of modules) writeFileSync(join(reports, fileOf(module)), render(module))
  return []
}

function compareReports(): string[] {
  const expected = new Map(modules.map((module) => [fileOf(module), render(module)]))
  const found = existsSync(reports) ? readdirSync(reports) : []
  const changed = [...expected].filter(([file, text]) => !found.includes(file) || readFileSync(join(reports, file), 'utf8') !== text)
  const stale = found.filter((file) => !expected.has(file))
  return [...changed.map(([file]) => file), ...stale].map(
    (file) =>
      `docs/api/${file}: the public API has changed. If it should have, run 'pnpm api:write' and commit; git diff shows what it is.`,
  )
}
