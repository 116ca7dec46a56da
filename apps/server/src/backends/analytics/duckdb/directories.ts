import { createHash, randomUUID } from 'node:crypto'
import { constants, existsSync, renameSync } from 'node:fs'
import { access, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DatabaseInfo, DatabaseRef } from '../../../domain/analytics/backend.ts'
import { MillraceError } from '../../../errors.ts'
import { makeDirectory } from '../../../make-directory.ts'
import { sizeOf, spillPrefix } from './host/files.ts'

type Scope = DatabaseRef['scope']

const notesFile = 'database.json'
/** Says whose place a directory takes. */
const successorFile = 'successor'
/** Directories that are being made or deleted; no database has such a name. */
const unfinished = '.'

/** Longest name of a directory; file systems take 255 bytes. */
const longestName = 200

/**
 * A directory for each tenant, in it one for each namespace, in it one for each database. What is made or deleted is so by
 * renaming the directory, so that a crash leaves a whole database or none.
 */
export class Directories {
  readonly #root: string

  /** @param root - directory of all. */
  constructor(root: string) {
    this.#root = root
  }

  /** A database's directory, relative to the root. */
  of({ scope, name }: DatabaseRef): string {
    return `${scopeDirectory(scope)}/${name}`
  }

  /** Begins to make a database. @returns a directory of its own for {@link Directories.finish}, relative to the root. */
  async begin(ref: DatabaseRef, metadata: Readonly<Record<string, string>>, now: number): Promise<string> {
    const making = this.#unfinished(ref)
    await makeDirectory(join(this.#root, making), 0o700)
    await writeFile(join(this.#root, making, notesFile), JSON.stringify({ metadata, createdAt: now }), { flush: true })
    return making
  }

  /** Ends it. @returns false when there is a database of that name. */
  async finish(ref: DatabaseRef, making: string): Promise<boolean> {
    await sync(join(this.#root, making))
    try {
      // A directory takes the place of an empty one only.
      await rename(join(this.#root, making), join(this.#root, this.of(ref)))
    } catch (error) {
      await this.abandon(making)
      if (['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
      throw error
    }
    for (const path of parents(this.of(ref))) await sync(join(this.#root, path))
    return true
  }

  /** Ends it in the place of another one, if there is one, which is deleted. */
  async replace(ref: DatabaseRef, making: string): Promise<void> {
    const [made, place] = [join(this.#root, making), join(this.#root, this.of(ref))]
    const replaced = join(this.#root, this.#unfinished(ref))
    // Between the two steps there is none of the name. A server that is killed there takes the second one when it starts.
    await writeFile(join(made, successorFile), ref.name, { flush: true })
    await sync(made)
    await sync(dirname(place))
    // Nobody in this process comes between.
    try {
      renameSync(place, replaced)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    renameSync(made, place)
    await sync(dirname(place))
    await rm(join(place, successorFile))
    await rm(replaced, { recursive: true, force: true })
  }

  /** Gives up what was begun. */
  async abandon(making: string): Promise<void> {
    await rm(join(this.#root, making), { recursive: true, force: true })
  }

  /** Deletes a database; false when there is none. */
  async drop(ref: DatabaseRef): Promise<boolean> {
    const dropped = this.#unfinished(ref)
    try {
      await rename(join(this.#root, this.of(ref)), join(this.#root, dropped))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
    await sync(join(this.#root, scopeDirectory(ref.scope)))
    await rm(join(this.#root, dropped), { recursive: true, force: true })
    return true
  }

  /** Whether there is a database. */
  has(ref: DatabaseRef): Promise<boolean> {
    return access(join(this.#root, this.of(ref), notesFile)).then(
      () => true,
      () => false,
    )
  }

  /** Names of databases, in order. */
  async list(scope: Scope, after: string, limit: number): Promise<readonly string[]> {
    const names = await readdir(join(this.#root, scopeDirectory(scope))).catch(noneWhenAbsent)
    return names
      .filter((name) => !name.startsWith(unfinished) && name > after)
      .sort()
      .slice(0, limit)
  }

  /** What is known of a database; undefined when there is none. */
  async info(ref: DatabaseRef): Promise<DatabaseInfo | undefined> {
    const directory = join(this.#root, this.of(ref))
    try {
      const { metadata, createdAt } = JSON.parse(await readFile(join(directory, notesFile), 'utf8')) as DatabaseInfo
      const sizeBytes = await sizeOf(directory, notesFile)
      return { name: ref.name, metadata, createdAt, sizeBytes }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** @throws UNAVAILABLE when nothing can be written. */
  async check(): Promise<void> {
    try {
      await makeDirectory(this.#root, 0o700)
      await access(this.#root, constants.R_OK | constants.W_OK)
    } catch (error) {
      const message = `The directory of the databases cannot be used (${(error as Error).message}).`
      throw new MillraceError('UNAVAILABLE', message, { retryAfterMs: 1000 }, { cause: error })
    }
  }

  /** Ends or deletes what a server that was killed left unfinished. */
  async tidy(): Promise<void> {
    for (const tenant of await readdir(this.#root).catch(noneWhenAbsent)) {
      for (const namespace of await readdir(join(this.#root, tenant)).catch(noneWhenAbsent)) {
        const directory = join(this.#root, tenant, namespace)
        for (const name of await readdir(directory).catch(noneWhenAbsent)) {
          await (name.startsWith(unfinished) ? this.#settle(directory, name) : this.#clear(join(directory, name)))
        }
      }
    }
  }

  async #settle(directory: string, name: string): Promise<void> {
    const made = join(directory, name)
    const successor = await readFile(join(made, successorFile), 'utf8').catch(() => undefined)
    const place = join(directory, successor ?? unfinished)
    if (successor === undefined || existsSync(place)) return rm(made, { recursive: true, force: true })
    await rename(made, place)
    await sync(directory)
    await this.#clear(place)
  }

  /** Deletes what is of one use of a database alone. */
  async #clear(directory: string): Promise<void> {
    for (const name of await readdir(directory).catch(noneWhenAbsent)) {
      if (name.startsWith(spillPrefix) || name === successorFile) await rm(join(directory, name), { recursive: true, force: true })
    }
  }

  #unfinished({ scope }: DatabaseRef): string {
    return `${scopeDirectory(scope)}/${unfinished}${randomUUID()}`
  }
}

function scopeDirectory({ tenant, namespace }: Scope): string {
  return `${tenant}/${encodeName(namespace)}`
}

/** A name as one directory: without separators, and different where names differ, also where case does not count. */
function encodeName(name: string): string {
  const encoded = name.replace(/[^a-z0-9_-]/g, (char) => `=${Buffer.from(char).toString('hex')}`)
  return encoded.length <= longestName ? encoded : `==${createHash('sha256').update(name).digest('hex')}`
}

/** The directories above one, up to the root. */
function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, i) => parts.slice(0, parts.length - i).join('/')).concat('.')
}

/** Brings what was renamed in a directory to the disk. */
async function sync(directory: string): Promise<void> {
  const handle = await open(directory)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function noneWhenAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
  throw error
}
