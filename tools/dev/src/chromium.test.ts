import { expect, it } from 'vitest'
import { chromiumVersion, startChromium } from './chromium.ts'
import { skipWhereMissing } from './test-skip.ts'

skipWhereMissing(chromiumVersion)

it('runs pages', async () => {
  const browser = await startChromium()
  try {
    const page = await browser.newPage()
    await page.setContent('<p>Hello</p>')
    expect(await page.textContent('p')).toBe('Hello')
    expect(chromiumVersion()).toContain(browser.version())
  } finally {
    await browser.close()
  }
})
