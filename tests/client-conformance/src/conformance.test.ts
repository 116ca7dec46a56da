import { Millrace as GrpcMillrace } from '@millrace/client'
import { Millrace as WebMillrace } from '@millrace/web'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BrowserRun, openBrowser } from './browser/open-browser.ts'
import { whyNoBrowser } from './browser/why-none.ts'
import { cases } from './cases/all.ts'
import { useServer } from './harness.ts'
import { type Case, runCase, type Setup } from './kit.ts'

const server = useServer()
const noBrowser = whyNoBrowser()
let browser: BrowserRun

/** A way to run the client. */
interface Target {
  readonly name: string
  readonly inBrowser: boolean
  endpoint(): string
  run(one: Case, setup: Setup): Promise<unknown>
}

const http = () => server.http
const targets: readonly Target[] = [
  {
    name: 'gRPC in Node',
    inBrowser: false,
    endpoint: () => server.grpc,
    run: (one, setup) => runCase(one, setup, (options) => new GrpcMillrace(options)),
  },
  {
    name: 'HTTP in Node',
    inBrowser: false,
    endpoint: http,
    run: (one, setup) => runCase(one, setup, (options) => new WebMillrace(options)),
  },
  { name: 'HTTP in a page', inBrowser: true, endpoint: http, run: (one, setup) => browser.inPage(one.name, setup) },
  { name: 'HTTP in a web worker', inBrowser: true, endpoint: http, run: (one, setup) => browser.inWorker(one.name, setup) },
]

beforeAll(async () => {
  if (!noBrowser) browser = await openBrowser()
})
afterAll(() => browser?.[Symbol.asyncDispose]())

describe.each(targets)('$name', ({ name, inBrowser, endpoint, run }) => {
  test.for(cases)('$name', async (one, { skip }) => {
    if (inBrowser && noBrowser) skip(noBrowser)
    const outcome = await server.inNamespace(`${name} ${one.name}`, endpoint(), (setup) => run(one, setup))
    expect(outcome).toEqual(one.expected)
  })
})

test('no two cases have one name', () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})
