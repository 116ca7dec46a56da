import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { spawnMillrace } from './process.ts'

it('a reader that has enough ends a command without a word, as SIGPIPE does', async () => {
  const { child, ended } = await spawnMillrace(['--help'])
  child.stdout!.destroy()
  expect(await ended).toMatchObject({ code: 141, stderr: '' })
})

const serve = ['serve', '--dev', '--json', '--grpc', '127.0.0.1:0', '--http', '127.0.0.1:0', '--log-level', 'debug']

it('a server whose log has no reader any more serves on, and ends when it is told to', async () => {
  const { child, ended, firstLine } = await spawnMillrace(serve)
  await firstLine()
  child.stderr!.destroy()
  child.kill('SIGTERM')
  expect(await ended).toMatchObject({ code: 0 })
})

it('a server whose log is on a full disk does so too', async (ctx) => {
  ctx.skip(!existsSync('/dev/full'), 'there is no /dev/full to stand for one')
  await using full = await open('/dev/full', 'w')
  const { child, ended, firstLine } = await spawnMillrace(serve, { stderr: full.fd })
  await firstLine()
  child.kill('SIGTERM')
  expect(await ended).toMatchObject({ code: 0 })
})
