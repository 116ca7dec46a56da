import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The repository's folder. */
export const root = join(import.meta.dirname, '../../..')

/** What of a package.json the checks look at. */
export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly license?: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** A package of the workspace; `folder` is relative to the repository's, '.' for the root. */
export interface WorkspacePackage {
  readonly folder: string
  readonly manifest: Manifest
}

/** Reads every package of the workspace, the root first. */
export function readWorkspace(): WorkspacePackage[] {
  const parents = ['packages', 'apps', 'tests', 'tools', 'examples']
  const folders = parents.flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
  return ['.', ...folders]
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest }))
}

/** What a package takes from elsewhere: names and versions, without the workspace's own, and without what its users bring. */
export function externalDependencies({ manifest }: WorkspacePackage): [name: string, version: string][] {
  const { dependencies, devDependencies, optionalDependencies } = manifest
  return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }).filter(
    ([, version]) => !version.startsWith('workspace:'),
  )
}
