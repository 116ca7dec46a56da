import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'

/** Debian keeps it out of the path of ordinary users. */
const program = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx'
const ifMissing = 'nginx was not found. Install it: apt-get install nginx-light'

/** The version of the machine's nginx. Throws when it is not installed. */
export function nginxVersion(): string {
  const { stderr, error } = spawnSync(program, ['-v'], { encoding: 'utf8' })
  if (error !== undefined) throw new Error(ifMissing, { cause: error })
  return /nginx\/(\S+)/.exec(stderr)?.[1] ?? stderr.trim()
}

/**
 * Starts the machine's nginx. Throws when it is not installed.
 *
 * @param config - its whole configuration. What it puts under `/tmp/` goes to a folder of its own, and it says that it started.
 */
export async function startNginx(config: string): Promise<ServiceProcess> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-nginx-'))
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, config.replaceAll(' /tmp/', ` ${dir}/`).replace(/^error_log .*$/m, 'error_log stderr notice;'))
  // Workers of a master that is root would run as somebody who may not write there.
  const own = process.getuid?.() === 0 ? 'daemon off; user root;' : 'daemon off;'
  return startServiceProcess({
    name: 'nginx',
    command: program,
    args: ['-p', dir, '-c', file, '-e', 'stderr', '-g', own],
    dir,
    ifMissing,
    isReady: (line) => line.includes('start worker processes'),
  })
}
