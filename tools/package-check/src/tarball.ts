import { posix } from 'node:path'
import { exec } from './exec.ts'
import type { PackedPackage } from './packages.ts'

const requiredFields = ['name', 'version', 'description', 'license', 'repository', 'keywords', 'engines', 'exports', 'files']
const requiredFiles = ['LICENSE', 'README.md', 'package.json']

/**
 * Looks at what a tarball holds.
 *
 * @throws Error that names everything that is wrong with it.
 */
export async function checkTarball(packed: PackedPackage, cwd: string): Promise<void> {
  const { manifest, files } = packed
  const problems = [
    ...requiredFields.filter((field) => !manifest[field]).map((field) => `package.json has no '${field}'.`),
    ...requiredFiles.filter((file) => !files.includes(file)).map((file) => `There is no ${file}.`),
    ...files
      .filter((file) => /[.](test|spec|bench)[.]|__tests__|[.]tsbuildinfo$/.test(file))
      .map((file) => `${file} is of no use to users.`),
    ...Object.entries(manifest.dependencies ?? {})
      .filter(([, range]) => /^(workspace|link|file):/.test(range))
      .map(([name, range]) => `The dependency ${name} is '${range}', which only works in this repository.`),
    ...(await brokenSourceMaps(packed, cwd)),
  ]
  if (problems.length > 0) throw new Error(problems.join('\n'))
}

async function brokenSourceMaps({ tarball, files }: PackedPackage, cwd: string): Promise<string[]> {
  const read = (file: string) => exec('tar', ['-xzOf', tarball, `package/${file}`], { cwd })
  const problems: string[] = []
  for (const file of files.filter((name) => /[.](js|mjs|d[.]ts)$/.test(name))) {
    const [, map] = /^\/\/# sourceMappingURL=(?!data:)(.+)$/m.exec(await read(file)) ?? []
    if (map && !files.includes(posix.join(posix.dirname(file), map))) problems.push(`${file} points to ${map}, which is not there.`)
  }
  for (const file of files.filter((name) => name.endsWith('.map'))) {
    const { sources, sourcesContent } = JSON.parse(await read(file)) as { sources: string[]; sourcesContent?: (string | null)[] }
    const missing = sources.filter((path, i) => !sourcesContent?.[i] && !files.includes(posix.join(posix.dirname(file), path)))
    problems.push(...missing.map((path) => `${file} points to ${path}, which is not there.`))
  }
  return problems
}
