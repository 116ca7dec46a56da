// Copies a file or a folder: `node tools/copy.mjs FROM TO`.
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'

const [from, to] = process.argv.slice(2)
if (!from || !to) throw new Error('Say what to copy: node tools/copy.mjs FROM TO')
rmSync(to, { recursive: true, force: true })
mkdirSync(dirname(to), { recursive: true })
cpSync(from, to, { recursive: true })
