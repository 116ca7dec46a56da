import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Random } from '../harness/random.ts'
import { DiskContent } from './disk-content.ts'
import type { Entry } from './recorder.ts'

interface File {
  /** What is on the disk for sure. */
  readonly kept: DiskContent
  /** Writes and cuts that no sync has covered yet. */
  changes: Entry[]
}

/** A name given or taken that no sync of its folder has covered yet. */
interface Naming {
  readonly path: string
  /** Absent: the name was taken away. */
  readonly file: File | undefined
}

/** A sync under way: what it will have covered. */
interface Covered {
  readonly file: File | undefined
  readonly changes: ReadonlySet<Entry>
  readonly namings: ReadonlySet<Naming>
}

/**
 * What a disk may hold when the power fails: all that a finished sync covered, and of the rest nothing, all, or any part,
 * torn at sectors. Names count with their folder's syncs, as POSIX has it. Writes that a failed sync covered are lost or
 * kept by chance, whatever is synced later, as on Linux.
 */
export class DiskModel {
  readonly #folder: string
  readonly #random: Random
  readonly #names = new Map<string, File>()
  readonly #keptNames = new Map<string, File>()
  #namings: Naming[] = []
  readonly #syncs = new Map<number, Covered>()

  /**
   * @param folder - whose files these are; empty at first.
   * @param random - what chance decides.
   */
  constructor(folder: string, random: Random) {
    this.#folder = folder
    this.#random = random
  }

  /** Takes the next entry of the record. */
  apply(entry: Entry): void {
    const { kind, path, offset } = entry
    const file = this.#names.get(path)
    if (kind === 'C') this.#name(path, { kept: new DiskContent(), changes: [] })
    else if (kind === 'U') this.#name(path, undefined)
    else if (kind === 'R') {
      this.#name(entry.data.toString(), file)
      this.#name(path, undefined)
    } else if (kind === 'W' || kind === 'T') file?.changes.push(entry)
    else if (kind === 'S') this.#syncs.set(offset, this.#coveredBy(path, file))
    else if (kind === 'D' || kind === 'F') this.#synced(offset, kind === 'F')
  }

  /** Writes what the disk may hold now into an empty folder. */
  write(target: string): void {
    const names = new Map(this.#keptNames)
    const chance = this.#random.pick([0, 0.5, 1])
    for (const { path, file } of this.#namings) {
      if (this.#random.next() >= chance) continue
      if (file) names.set(path, file)
      else names.delete(path)
    }
    for (const [path, file] of names) {
      const to = join(target, relative(this.#folder, path))
      mkdirSync(dirname(to), { recursive: true })
      writeFileSync(to, this.#contentOf(file).bytes)
    }
  }

  #name(path: string, file: File | undefined): void {
    if (file) this.#names.set(path, file)
    else this.#names.delete(path)
    this.#namings.push({ path, file })
  }

  #coveredBy(path: string, file: File | undefined): Covered {
    const namings = new Set(this.#namings.filter((naming) => dirname(naming.path) === path))
    return { file, changes: new Set(file?.changes), namings }
  }

  #synced(number: number, failed: boolean): void {
    const covered = this.#syncs.get(number)
    this.#syncs.delete(number)
    if (!covered) return
    const { file, changes, namings } = covered
    if (file) {
      // Another sync may have ended meanwhile that covered some of it.
      for (const change of file.changes) {
        if (changes.has(change) && (!failed || this.#random.next() < 0.5)) file.kept.apply(change)
      }
      file.changes = file.changes.filter((change) => !changes.has(change))
    }
    if (failed) return
    for (const { path, file: named } of namings) {
      if (named) this.#keptNames.set(path, named)
      else this.#keptNames.delete(path)
    }
    this.#namings = this.#namings.filter((naming) => !namings.has(naming))
  }

  #contentOf(file: File): DiskContent {
    const content = new DiskContent(file.kept.bytes)
    const chance = this.#random.pick([0, 0, 0.5, 0.9, 1])
    for (const change of file.changes) {
      if (this.#random.next() >= chance) continue
      const torn = change.kind === 'W' && chance < 1 && this.#random.next() < 0.2
      if (torn) content.applyTorn(change, this.#random.next() < 0.5, this.#random.next())
      else content.apply(change)
    }
    return content
  }
}
