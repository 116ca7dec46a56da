import { readdir, stat } from 'node:fs/promises'

/** The file of a database in its directory. Its name is what SQL calls the database, whatever the tenant does. */
export const databaseFile = 'data.duckdb'
/**
 * Begins the name of the directory where an open database puts aside what does not fit into memory. DuckDB lets SQL name files there,
 * and nowhere else; the rest of the name is not to be guessed.
 */
export const spillPrefix = 'spill-'
/** Within it, where the server and the database leave files for each other. */
export const stagingDirectory = 'staging'

/** Bytes of the files in a directory, but for one. Files may come and go meanwhile. */
export async function sizeOf(directory: string, but?: string): Promise<number> {
  const names = await readdir(directory).catch(() => [])
  const sizes = names.map((name) =>
    name === but
      ? 0
      : stat(`${directory}/${name}`).then(
          ({ size }) => size,
          () => 0,
        ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
