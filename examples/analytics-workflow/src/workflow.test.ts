import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

// As users run it: with the built packages, so `pnpm build` comes first.
it('reports the commits of this repository by month, as git counts them', async () => {
  const env = { ...process.env, PATH: `${join(import.meta.dirname, '../node_modules/.bin')}${delimiter}${process.env.PATH}` }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  expect({ code, errors }).toEqual({ code: 0, errors: '' })

  const git = (...args: string[]) =>
    execFileSync('git', ['log', '--no-merges', ...args], { cwd: import.meta.dirname, env: { ...env, TZ: 'UTC' }, encoding: 'utf8' })
  const counts = new Map<string, number>()
  for (const month of git('--date=format-local:%Y-%m', '--format=%cd').trim().split('\n')) counts.set(month, (counts.get(month) ?? 0) + 1)
  const lines = output.trimEnd().split('\n')
  expect(lines[0]!.trim().split(/ +/)).toEqual(['month', 'commits', 'authors', 'insertions', 'deletions'])
  const reported = lines.slice(1, -1).map((line) => line.trim().split(/ +/))
  expect(reported.map(([month, commits]) => [month, Number(commits)])).toEqual([...counts].sort().reverse().slice(0, 12))
  const commits = [...counts.values()].reduce((sum, count) => sum + count, 0)
  expect(lines.at(-1)).toBe(`${commits} commits in ${counts.size} ${counts.size === 1 ? 'month' : 'months'}`)

  if (counts.size > 12) return
  // Every month is in the report, so its lines are all there are.
  const [inserted, deleted] = [0, 1].map((column) =>
    git('--numstat', '--format=')
      .trim()
      .split('\n')
      .reduce((sum, line) => sum + (Number(line.split('\t')[column]) || 0), 0),
  )
  expect(reported.reduce((sum, row) => sum + Number(row[3]), 0)).toBe(inserted)
  expect(reported.reduce((sum, row) => sum + Number(row[4]), 0)).toBe(deleted)
})
