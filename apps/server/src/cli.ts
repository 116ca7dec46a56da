#!/usr/bin/env node
// Nothing is imported before the check: an older Node could not even read the rest.
const { env, stdin, stdout, stderr, versions } = process
if (Number.parseInt(versions.node, 10) < 24) {
  stderr.write(`error: millrace needs Node 24 or later; this is ${versions.node}\n`)
  process.exitCode = 1
} else {
  const { runCli } = await import('./cli/run.ts')
  process.exitCode = await runCli(process.argv.slice(2), { env, stdin, stdout, stderr })
}
