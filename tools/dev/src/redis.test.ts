import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { redisVersion, startRedis } from './redis.ts'
import { startServiceProcess } from './service-process.ts'
import { skipWhereMissing } from './test-skip.ts'

skipWhereMissing(redisVersion)

async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${command}\r\n`)
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return String(answer)
}

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('startRedis', () => {
  it('answers, keeps what it was told to keep, and leaves nothing behind', async () => {
    const redis = await startRedis({ appendfsync: 'always' })
    expect(await ask(redis.port, 'PING')).toBe('+PONG\r\n')
    expect(await ask(redis.port, 'CONFIG GET appendfsync')).toContain('always')
    expect(await ask(redis.port, 'CONFIG GET dir')).toContain(redis.dir)
    await redis.stop()
    await redis.stop()
    expect(alive(redis.pid)).toBe(false)
    expect(existsSync(redis.dir)).toBe(false)
  })

  it('ends with a parent that is killed', async () => {
    const program = `
      import { startRedis } from ${JSON.stringify(new URL('./redis.ts', import.meta.url).href)}
      const redis = await startRedis()
      console.log(JSON.stringify({ pid: redis.pid, port: redis.port, dir: redis.dir }))
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string]
    const redis = JSON.parse(line) as { pid: number; port: number; dir: string }
    expect(await ask(redis.port, 'PING')).toBe('+PONG\r\n')
    parent.kill('SIGKILL')
    await expect.poll(() => alive(redis.pid) || existsSync(redis.dir), { timeout: 10_000, interval: 50 }).toBe(false)
  })
})

describe('startServiceProcess', () => {
  const common = { name: 'thing', dir: '/nonexistent/millrace-dev', isReady: () => false }

  it('says what to do when the program is missing', async () => {
    const start = startServiceProcess({ ...common, command: 'no-such-program', args: [], ifMissing: 'Install it: apt-get install thing' })
    await expect(start).rejects.toThrow('Install it: apt-get install thing')
  })

  it('shows the output of a program that ends early', async () => {
    const start = startServiceProcess({ ...common, command: 'sh', args: ['-c', 'echo no room >&2; exit 3'], ifMissing: '' })
    await expect(start).rejects.toThrow(/thing ended before it was ready \(exit code 3\).*no room/s)
  })

  it('gives up on a program that is never ready', async () => {
    const start = startServiceProcess({ ...common, command: 'sleep', args: ['60'], ifMissing: '', readyTimeout: 50 })
    await expect(start).rejects.toThrow('thing was not ready within 50 ms')
  })
})
