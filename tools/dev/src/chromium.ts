import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { type Browser, chromium } from 'playwright-core'

const commands = ['chromium', 'chromium-browser', 'google-chrome']

/** The version of the machine's Chromium. Throws when there is none. */
export function chromiumVersion(): string {
  return find().version
}

/** Starts the machine's Chromium without a window. It ends with this process. Throws when there is none. */
export function startChromium(): Promise<Browser> {
  const { path } = find()
  // Chromium's sandbox does not run as root, as in most containers; the tests' pages are our own.
  return chromium.launch({ executablePath: path, chromiumSandbox: process.getuid?.() !== 0 })
}

function find(): { path: string; version: string } {
  for (const command of commands) {
    const { stdout, status } = spawnSync('sh', ['-c', `command -v ${command} && ${command} --version 2>/dev/null`], { encoding: 'utf8' })
    const [path, version] = stdout.trim().split('\n')
    if (status === 0 && path && version) return { path, version }
  }
  throw new Error('Chromium was not found. Install it: apt-get install chromium')
}
