import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { useServer } from '../harness/fixture.ts'

// Runs every command of a page in one shell, in order; lines that begin with # are what it prints, … is anything.
const fixture = useServer()

interface Step {
  readonly command: string
  readonly expected: string[]
}

function stepsOf(file: string): Step[] {
  const page = readFileSync(new URL(`../../../docs/${file}`, import.meta.url), 'utf8')
  const lines = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => block.trim().split('\n'))
  const steps: Step[] = []
  for (const line of lines.filter((one) => !one.startsWith('export '))) {
    if (line.startsWith('# ')) steps.at(-1)!.expected.push(line.slice(2))
    else steps.push({ command: line, expected: [] })
  }
  return steps
}

const mark = '=====8<====='
const hasCurl = spawnSync('curl', ['--version']).status === 0

describe.each(['http.md', 'durable-streams.md'])('docs/%s', (file) => {
  test('its commands do what it says', ({ skip }) => {
    skip(!hasCurl, 'curl is not installed')
    const steps = stepsOf(file)
    const script = ['set -e', ...steps.map(({ command }) => `${command}\necho '${mark}'`)].join('\n')
    const env = { PATH: process.env.PATH, URL: `http://${fixture.server.http}`, KEY: fixture.server.key }
    const said = execFileSync('bash', ['-c', script], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).split(mark)
    expect(steps.length).toBeGreaterThan(10)
    for (const [i, { command, expected }] of steps.entries()) {
      const pattern = expected.map((line) => line.split('…').map(literal).join('.*')).join('\\s+')
      expect(said[i]!.trim(), command).toMatch(new RegExp(`^${pattern}$`))
    }
  })
})

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
