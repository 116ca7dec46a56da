import { expect, test } from 'vitest'
import { Gate } from './gate.ts'

/** Work that ends when it is told. */
function work(log: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const run = async (): Promise<void> => {
    log.push(`${name} begins`)
    await promise.finally(() => log.push(`${name} ends`))
  }
  return { run, end: resolve, fail: reject }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('one who is alone waits for those before, and lets nobody by before the end', async () => {
  const gate = new Gate()
  const log: string[] = []
  const [a, b, c, alone, last] = ['a', 'b', 'c', 'alone', 'last'].map((name) => work(log, name)) as ReturnType<typeof work>[]
  const done = [gate.pass(a!.run), gate.pass(b!.run), gate.passAlone(alone!.run), gate.pass(c!.run), gate.passAlone(last!.run)]
  const outcomes = Promise.allSettled(done)
  await settled()
  expect(log.splice(0)).toEqual(['a begins', 'b begins'])
  a!.end()
  await settled()
  expect(log.splice(0)).toEqual(['a ends'])
  b!.fail(new Error('b failed'))
  await settled()
  expect(log.splice(0)).toEqual(['b ends', 'alone begins'])
  alone!.fail(new Error('alone failed'))
  await settled()
  expect(log.splice(0)).toEqual(['alone ends', 'c begins'])
  c!.end()
  await settled()
  expect(log.splice(0)).toEqual(['c ends', 'last begins'])
  last!.end()
  expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled', 'fulfilled'])
})

test('one who gives up waiting holds up nobody', async () => {
  const gate = new Gate()
  const log: string[] = []
  const [long, alone, next] = ['long', 'alone', 'next'].map((name) => work(log, name)) as ReturnType<typeof work>[]
  const stop = Promise.withResolvers<never>()
  const done = [gate.pass(long!.run), gate.passAlone(alone!.run, stop.promise), gate.pass(next!.run), gate.pass(next!.run, stop.promise)]
  const outcomes = Promise.allSettled(done)
  stop.reject(new Error('given up'))
  await settled()
  expect(log).toEqual(['long begins', 'next begins'])
  next!.end()
  long!.end()
  expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected'])
})
