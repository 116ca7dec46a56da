import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromiumVersion, type Page, startChromium } from '@millrace/dev'
import { createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

const soon = { timeout: 20_000 }

/**
 * Tries an example's page in a browser, as `vite` serves it.
 *
 * @param root - the example's folder.
 */
export function testPage(root: string): void {
  let missing: string | undefined
  try {
    chromiumVersion()
  } catch (error) {
    missing = (error as Error).message
  }
  let browser: Browser
  let server: ViteDevServer
  let page: Page
  const faults: string[] = []
  const data = mkdtempSync(join(tmpdir(), 'millrace-example-'))
  beforeAll(async () => {
    if (missing) return
    process.env.MILLRACE_DATA = data
    browser = await startChromium()
    server = await createServer({ root, logLevel: 'error', server: { port: 0, host: '127.0.0.1' } })
    await server.listen()
    page = await browser.newPage()
    page.on('pageerror', (error) => faults.push(String(error)))
    await page.goto(server.resolvedUrls!.local[0]!)
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await server?.close()
    rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  })
  beforeEach(({ skip }) => {
    if (missing) skip(missing)
  })

  const texts = (selector: string) => expect.poll(() => page.locator(selector).allTextContents(), soon)
  const submit = async (place: string) => {
    await page.selectOption('select', place)
    await page.click('button.primary')
  }

  describe('the page', () => {
    it('paints a picture while one watches, and shows it', async () => {
      await texts('.pill').toEqual(['0 running · 0 waiting · 0 done'])
      await submit('The whole set')
      await texts('.columns > :first-child .note').toEqual([expect.stringMatching(/^row \d+ of 120$/)])
      await texts('li span:not(.note)').toEqual(['running'])
      await texts('.pill').toEqual(['1 running · 0 waiting · 0 done'])
      await expect.poll(() => page.isVisible('canvas[aria-label="The whole set"]'), soon).toBe(true)
      expect(await brightness()).toBeGreaterThan(20)
      await texts('li span:not(.note)').toEqual(['completed'])
      await texts('.pill').toEqual(['0 running · 0 waiting · 1 done'])
    })

    it('cancels', async () => {
      await submit('Spiral')
      await texts('li span:not(.note)').toEqual(['running', 'completed'])
      await page.click('text=Cancel')
      await texts('li span:not(.note)').toEqual(['cancelled', 'completed'])
      await expect.poll(() => page.isEnabled('button.primary'), soon).toBe(true)
      expect(faults).toEqual([])
    })
  })

  /** Of the large picture, on average, 0 to 255. */
  function brightness(): Promise<number> {
    return page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('.stage canvas')!
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
      return data.reduce((sum, value, i) => (i % 4 < 3 ? sum + value : sum), 0) / ((data.length / 4) * 3)
    })
  }
}
