// What is bundled for other runtimes: runs one case, named by the last argument, and prints what happened.
import { Millrace } from '@millrace/web'
import { cases } from '../cases/all.ts'
import { runCase, type Setup } from '../kit.ts'

const { process } = globalThis as unknown as { process: { argv: string[]; exit(code: number): never } }
const { name, setup } = JSON.parse(process.argv.at(-1)!) as { name: string; setup: Setup }
console.log(JSON.stringify(await runCase(cases.find((one) => one.name === name)!, setup, (options) => new Millrace(options))))
process.exit(0)
