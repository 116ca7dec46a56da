#!/usr/bin/env node
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { CodeGeneratorResponseSchema } from '@bufbuild/protobuf/wkt'

// Runs ts-proto and mends what it writes: a decoded map lost its key `__proto__`, because assigning to it sets the
// object's prototype.
const plugin = createRequire(import.meta.url).resolve('ts-proto/protoc-gen-ts_proto')
const { stdout, status, error } = spawnSync(process.execPath, [plugin], {
  input: readFileSync(0),
  stdio: ['pipe', 'pipe', 'inherit'],
  maxBuffer: 2 ** 30,
})
if (error) throw error
if (status !== 0) process.exit(status ?? 1)

const response = fromBinary(CodeGeneratorResponseSchema, stdout)
for (const file of response.file) {
  file.content = file.content?.replace(
    /^( *)(message\.\w+)\[(entry\d+)\.key\] = \3\.value;$/gm,
    (_, indent: string, map: string, entry: string) =>
      `${indent}if (${entry}.key !== "__proto__") ${map}[${entry}.key] = ${entry}.value;\n` +
      `${indent}else globalThis.Object.defineProperty(${map}, "__proto__", { value: ${entry}.value, enumerable: true, configurable: true, writable: true });`,
  )
}
process.stdout.write(toBinary(CodeGeneratorResponseSchema, response))
