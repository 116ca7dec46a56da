import { join } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * Bundles a file of this folder, with the client for browsers.
 *
 * @returns the script.
 */
export async function bundle(file: string, format: 'iife' | 'es'): Promise<string> {
  const build = await rolldown({
    input: join(import.meta.dirname, file),
    platform: 'browser',
    resolve: { conditionNames: ['millrace-source', 'import', 'default'] },
  })
  const { output } = await build.generate({ format, minify: true })
  return output[0].code
}
