import { expect, it } from 'vitest'
import { spawnMillrace } from './process.ts'

it('a reader that has enough ends a command without a word, as SIGPIPE does', async () => {
  const { child, ended } = await spawnMillrace(['--help'])
  child.stdout!.destroy()
  expect(await ended).toMatchObject({ code: 141, stderr: '' })
})
