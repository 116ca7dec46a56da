import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a directory, and those above it. Node's own `recursive` tries for ever where a file system has no place for new ones and says that
 * there is none, as that of `/proc` does.
 *
 * @param mode - permissions of those that are made. Default: 0o777 without the umask.
 * @returns the first that was made; undefined when all were there.
 * @throws as `mkdir`: ENOENT where none can be made, EEXIST where a file is in the way.
 */
export async function makeDirectory(path: string, mode?: number): Promise<string | undefined> {
  try {
    return await makeOne(path, mode)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
  }
  const first = await makeDirectory(dirname(path), mode)
  const made = await makeOne(path, mode)
  return first ?? made
}

/** @returns its path when it was not there. */
async function makeOne(path: string, mode: number | undefined): Promise<string | undefined> {
  try {
    await mkdir(path, mode)
    return path
  } catch (error) {
    if (codeOf(error) !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error
    return undefined
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
