import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'

/**
 * The commits of the repository that a folder is in, as CSV: date, author (a hash: who it was is nobody's business), files changed,
 * insertions, deletions. A shallow clone has fewer commits, and at least one.
 */
export async function readHistory(folder: string): Promise<string> {
  const args = ['log', '--no-merges', '--shortstat', '--date=format-local:%Y-%m-%d', '--format=%x00%cd %ae%x00']
  const { stdout } = await promisify(execFile)('git', args, {
    cwd: folder,
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
    maxBuffer: 256 * 1024 * 1024,
  })
  const lines = ['date,author,files,insertions,deletions']
  const fields = stdout.split('\0').slice(1)
  for (let i = 0; i < fields.length; i += 2) {
    const [date = '', email = ''] = fields[i]!.split(' ', 2)
    const author = createHash('sha256').update(email).digest('hex').slice(0, 12)
    const count = (what: RegExp) => what.exec(fields[i + 1] ?? '')?.[1] ?? '0'
    lines.push([date, `a${author}`, count(/(\d+) file/), count(/(\d+) insertion/), count(/(\d+) deletion/)].join(','))
  }
  return `${lines.join('\n')}\n`
}
