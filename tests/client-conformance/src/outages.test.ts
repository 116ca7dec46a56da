import { Millrace as GrpcMillrace } from '@millrace/client'
import { Millrace as WebMillrace } from '@millrace/web'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BrowserRun, openBrowser } from './browser/open-browser.ts'
import { whyNoBrowser } from './browser/why-none.ts'
import { followCase, steps } from './cases/follow.ts'
import { useServer } from './harness.ts'
import { runCase, type Setup, sleep } from './kit.ts'

const server = useServer()
const noBrowser = whyNoBrowser()
let browser: BrowserRun

beforeAll(async () => {
  if (!noBrowser) browser = await openBrowser()
})
afterAll(() => browser?.[Symbol.asyncDispose]())

/** Submits a task that takes some seconds, follows it, and lets something happen in the middle. */
async function followThrough(name: string, endpoint: string, follow: (setup: Setup) => Promise<unknown>, trouble: () => Promise<void>) {
  return server.inNamespace(name, endpoint, async (setup) => {
    const mr = new GrpcMillrace({ endpoint: server.grpc, apiKey: setup.key, namespace: setup.namespace })
    await mr.tasks.submit({ function: 'steps', payload: steps })
    const outcome = follow(setup)
    await sleep(1000)
    await trouble()
    expect(await outcome).toEqual(followCase.expected)
    await mr.close()
  })
}

/** Twice, so that what was mended once is mended again. */
async function restartTwice(): Promise<void> {
  await server.restart()
  await sleep(1000)
  await server.restart()
}

test('gRPC in Node: the server is restarted while a task is followed', async () => {
  const follow = (setup: Setup) => runCase(followCase, setup, (options) => new GrpcMillrace(options))
  await followThrough('grpc', server.grpc, follow, restartTwice)
}, 60_000)

test('HTTP in Node: the server is restarted while a task is followed', async () => {
  const follow = (setup: Setup) => runCase(followCase, setup, (options) => new WebMillrace(options))
  await followThrough('http', server.http, follow, restartTwice)
}, 60_000)

test('HTTP in a page: the server is restarted while a task is followed', async ({ skip }) => {
  if (noBrowser) skip(noBrowser)
  await followThrough('page', server.http, (setup) => browser.inPage(followCase.name, setup), restartTwice)
}, 60_000)

test('HTTP in a page: the browser is offline for some time, and the server restarts meanwhile', async ({ skip }) => {
  if (noBrowser) skip(noBrowser)
  const offline = async () => {
    await browser.setOffline(true)
    await server.restart()
    await sleep(1500)
    await browser.setOffline(false)
  }
  await followThrough('offline', server.http, (setup) => browser.inPage(followCase.name, setup), offline)
}, 60_000)
