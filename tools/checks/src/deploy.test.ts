import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { root } from './workspace.ts'

/** Ways to call Docker's Compose. It reads and checks files without a Docker that runs. */
const programs = [['docker', 'compose'], ['docker-compose']] as const

it('compose.yaml is what Compose understands, and asks for its secrets', ({ skip }) => {
  const program = programs.find(([command, ...args]) => spawnSync(command, [...args, 'version']).status === 0)
  if (!program) skip('Docker Compose is not installed: apt-get install docker-compose')
  const [command, ...args] = program!
  const config = (env: NodeJS.ProcessEnv) =>
    spawnSync(command, [...args, '--file', 'compose.yaml', 'config', '--quiet'], {
      cwd: root,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...env },
    })
  const secrets = { POSTGRES_PASSWORD: 'p', MILLRACE_ROOT_KEY: 'k'.repeat(32) }
  expect(config(secrets)).toMatchObject({ status: 0, stderr: '' })
  expect(config({ ...secrets, POSTGRES_PASSWORD: undefined }).stderr).toMatch(/set it, and keep it/)
  expect(config({ ...secrets, MILLRACE_ROOT_KEY: undefined }).stderr).toMatch(/at least 32 characters/)
})
