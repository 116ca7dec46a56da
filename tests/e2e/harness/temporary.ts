import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made = new Set<string>()
process.on('exit', () => {
  // Servers killed a moment ago may still be writing.
  for (const path of made) rmSync(path, { recursive: true, force: true, maxRetries: 3 })
})

/** A new empty folder that goes when the tests end. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-e2e-'))
  made.add(path)
  return path
}

/** Removes a folder of {@link temporaryFolder} now. */
export function removeFolder(path: string): void {
  made.delete(path)
  rmSync(path, { recursive: true, force: true, maxRetries: 3 })
}
