import { version as number } from '../../version.ts'
import type { Command } from '../command.ts'

/** `millrace version` */
export const version: Command = {
  name: 'version',
  summary: 'Show the version.',
  options: [{ name: 'json', help: 'Write it as JSON.' }],
  examples: [{ line: 'millrace version', does: 'the version of this program' }],
  async run({ flags, output }) {
    if (flags.json) output.json({ version: number, node: process.version })
    else output.line(number)
    return 0
  },
}
