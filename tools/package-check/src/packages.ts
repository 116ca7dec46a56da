import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from './exec.ts'

/** What of a package.json is looked at here. */
export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly engines?: { readonly node?: string }
  readonly exports?: Readonly<Record<string, string | { readonly types?: string }>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/** A public package and its tarball. */
export interface PackedPackage {
  readonly name: string
  readonly tarball: string
  /** The manifest inside the tarball. */
  readonly manifest: Manifest
  /** Paths inside the tarball. */
  readonly files: readonly string[]
}

/**
 * Packs every public package.
 *
 * @param root - the repository's folder.
 * @param destination - where the tarballs go.
 */
export async function packAll(root: string, destination: string): Promise<PackedPackage[]> {
  const folders = ['packages', 'apps'].flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(root, parent, name)))
  const isPublic = (folder: string) => !(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest).private
  return Promise.all(folders.filter(isPublic).map((folder) => pack(folder, destination)))
}

async function pack(folder: string, destination: string): Promise<PackedPackage> {
  const output = await exec('pnpm', ['pack', '--pack-destination', destination, '--json'], { cwd: folder })
  const { filename: tarball } = JSON.parse(output) as { filename: string }
  const [list, text] = await Promise.all([
    exec('tar', ['-tzf', tarball], { cwd: folder }),
    exec('tar', ['-xzOf', tarball, 'package/package.json'], { cwd: folder }),
  ])
  const manifest = JSON.parse(text) as Manifest
  const files = list
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
  return { name: manifest.name, tarball, manifest, files }
}
