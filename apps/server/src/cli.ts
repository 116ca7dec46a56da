#!/usr/bin/env node
// Nothing is imported before the check: an older Node could not even read the rest.
const { env, stdin, stdout, stderr, versions } = process
if (Number.parseInt(versions.node, 10) < 24) {
  stderr.write(`error: millrace needs Node 24 or later; this is ${versions.node}\n`)
  process.exitCode = 1
} else {
  // Who reads has enough, as `head` does: that is no fault. The code is that of a program which SIGPIPE ends.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(141)
  })
  const { runCli } = await import('./cli/run.ts')
  process.exitCode = await runCli(process.argv.slice(2), { env, stdin, stdout, stderr })
}
