import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startChromium } from '@millrace/dev'
import type { Setup } from '../kit.ts'
import { bundle } from './bundle.ts'

/** A browser that runs cases. */
export interface BrowserRun extends AsyncDisposable {
  inPage(name: string, setup: Setup): Promise<unknown>
  inWorker(name: string, setup: Setup): Promise<unknown>
  /** Cuts the browser off its network, or connects it again. */
  setOffline(offline: boolean): Promise<void>
}

/** Bundles the suite, serves it from an origin of its own and opens it in Chromium. */
export async function openBrowser(): Promise<BrowserRun> {
  const script = await bundle('suite.ts', 'iife')
  const site = createServer((request, response) => {
    const isScript = request.url === '/suite.js'
    response.writeHead(200, { 'content-type': `${isScript ? 'text/javascript' : 'text/html'}; charset=utf-8` })
    response.end(isScript ? script : '<!doctype html><title>suite</title><script src="/suite.js"></script>')
  })
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  const browser = await startChromium()
  const page = await browser.newPage()
  await page.goto(origin)
  return {
    inPage: (name, setup) =>
      page.evaluate(([one, where]) => (globalThis as unknown as PageScope).runCase(one, where), [name, setup] as const),
    inWorker: (name, setup) =>
      page.evaluate(
        (message) =>
          new Promise((resolve, reject) => {
            const worker = new Worker('/suite.js')
            worker.onmessage = ({ data }: { data: { outcome?: unknown; error?: string } }) => {
              worker.terminate()
              if (data.error === undefined) resolve(data.outcome)
              else reject(new Error(data.error))
            }
            worker.onerror = (event) => reject(new Error(event.message))
            worker.postMessage(message)
          }),
        { name, setup },
      ),
    setOffline: (offline) => page.context().setOffline(offline),
    async [Symbol.asyncDispose]() {
      await browser.close()
      site.close()
    },
  }
}

interface PageScope {
  runCase(name: string, setup: Setup): Promise<unknown>
}
