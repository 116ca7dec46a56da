import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { expect, it, onTestFinished } from 'vitest'
import { startTestServer } from './harness.ts'

const executablePath = '/usr/bin/chromium'

it('/docs shows every route, carries out calls and follows events, under its own policy', { timeout: 120_000 }, async ({ skip }) => {
  skip(!existsSync(executablePath), 'chromium is not installed (apt-get install chromium)')
  const { server } = await startTestServer()
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  onTestFinished(() => browser.close())
  const page = await browser.newPage()
  const complaints: string[] = []
  page.on('console', (message) => void complaints.push(message.text()))
  page.on('pageerror', (error) => void complaints.push(error.message))
  await page.goto(`http://${server.http}/docs`)
  const operation = (summary: string) => page.locator('details', { has: page.locator('summary', { hasText: summary }) })
  await operation('Submits one task').waitFor()
  expect(await page.locator('details').count()).toBeGreaterThan(40)

  await page.fill('#key', server.key!)
  const watch = operation('/v1/tasks:watch')
  await watch.locator('summary').click()
  await watch.locator('button').click()
  await watch.locator('pre', { hasText: 'data: {"tasks":[]' }).waitFor()

  const submit = operation('Submits one task')
  await submit.locator('summary').click()
  expect(await submit.locator('textarea').inputValue()).toContain('"idempotencyKey"')
  // What the page suggests is taken as it stands.
  await submit.locator('button').click()
  await submit.locator('pre', { hasText: '"created": true' }).waitFor()
  await submit.locator('textarea').fill('{ "function": "shown" }')
  await submit.locator('button').click()
  await submit.locator('pre', { hasText: '"created": true' }).waitFor()
  await watch.locator('pre', { hasText: '"function":"shown"' }).waitFor()

  const list = operation('Lists tasks')
  await list.locator('summary').click()
  await list.locator('label', { hasText: 'states' }).locator('input').fill('completed, failed')
  await list.locator('label', { hasText: 'labels' }).locator('input').fill('team=blue')
  await list.locator('button').click()
  await list.locator('pre', { hasText: '"tasks": []' }).waitFor()

  // On a telephone nothing is wider than the window.
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  expect(await page.locator('details p code').first().textContent()).toMatch(/^\w+:\w+$/)
  expect(complaints).toEqual([])
})
