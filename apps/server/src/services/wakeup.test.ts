import { describe, expect, it } from 'vitest'
import { pump, Wakeup } from './wakeup.ts'

describe('a wake-up', () => {
  it('that comes first is kept, and many are one', async () => {
    const wakeup = new Wakeup()
    wakeup.wake()
    wakeup.wake()
    await wakeup.wait()
    let woken = false
    const second = wakeup.wait().then(() => {
      woken = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(woken).toBe(false)
    wakeup.wake()
    await second
  })
})

describe('a pump', () => {
  it('takes the next message only when the last was taken from it', async () => {
    let taken = 0
    const stream = pump(() => ({ n: ++taken }), new Wakeup(), new AbortController().signal)
    expect((await stream.next()).value).toEqual({ n: 1 })
    await new Promise((resolve) => setImmediate(resolve))
    expect(taken).toBe(1)
    expect((await stream.next()).value).toEqual({ n: 2 })
  })

  it('sleeps while there is nothing, and ends at the end', async () => {
    const wakeup = new Wakeup()
    const waiting: ({ n: number } | 'end')[] = []
    const stream = pump(async () => waiting.shift(), wakeup, new AbortController().signal)
    const first = stream.next()
    waiting.push({ n: 1 })
    wakeup.wake()
    expect(await first).toEqual({ done: false, value: { n: 1 } })
    waiting.push('end')
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  it('wakes to throw why the call ended, and lets go of its signal', async () => {
    const controller = new AbortController()
    const stream = pump(() => undefined, new Wakeup(), controller.signal)
    const next = stream.next()
    controller.abort(new Error('stopping'))
    await expect(next).rejects.toThrow('stopping')
  })
})
