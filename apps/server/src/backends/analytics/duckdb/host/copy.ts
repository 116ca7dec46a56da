import { constants, copyFile, readdir } from 'node:fs/promises'
import { databaseFile } from './files.ts'

/**
 * Copies the file of a database and its log, while nobody changes them; where the file system can, without copying their bytes.
 *
 * @param call - ends it between the two.
 */
export async function copyFiles(at: string, to: string, call: { check(): void }): Promise<void> {
  for (const name of await readdir(at)) {
    if (!name.startsWith(databaseFile)) continue
    call.check()
    await copyFile(`${at}/${name}`, `${to}/${name}`, constants.COPYFILE_FICLONE)
  }
}
