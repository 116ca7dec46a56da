#!/usr/bin/env node
import { runCli } from './cli/run.ts'

const { env, stdin, stdout, stderr } = process
process.exitCode = await runCli(process.argv.slice(2), { env, stdin, stdout, stderr })
