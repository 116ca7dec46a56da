import { expect, test } from 'vitest'
import { readBackup, writeBackup } from './backup-file.ts'

const header = { database: 'sales', metadata: { description: 'Orders' }, takenAt: 5, size: 1000 }
const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251))

/** Bytes in pieces of a length. */
async function* pieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

async function joined(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

async function read(bytes: Uint8Array, length = 64) {
  const backup = await readBackup(pieces(bytes, length), 'key')
  return { header: backup.header, content: await joined(backup.database) }
}

const { size, read: written } = writeBackup(header, pieces(content, 300))
const file = await joined(written())

test('a backup is read as it was written, however its bytes come', async () => {
  expect(file).toHaveLength(size)
  for (const length of [1, 7, 64, 5000]) expect(await read(file, length)).toMatchObject({ header, content })
  const none = writeBackup({ ...header, size: 0 }, pieces(Buffer.alloc(0), 1))
  expect(await read(await joined(none.read()))).toMatchObject({ content: Buffer.alloc(0) })
})

test('one that was cut short anywhere, changed anywhere, or has more at its end, is refused', async () => {
  const wrong = { reason: 'VALIDATION', fields: [{ path: 'key' }] }
  for (let length = 0; length < file.length; length += 3) {
    await expect(read(file.subarray(0, length)), `${length} bytes`).rejects.toMatchObject(wrong)
  }
  for (let at = 0; at < file.length; at++) {
    const changed = Buffer.from(file)
    changed[at]! ^= 1 << (at % 8)
    await expect(read(changed), `byte ${at}`).rejects.toMatchObject(wrong)
  }
  await expect(read(Buffer.concat([file, Buffer.from('x')]))).rejects.toMatchObject(wrong)
})

test.each<[string, object]>([
  ['of another version', { version: 2 }],
  ['with a size that is none', { size: -1 }],
  ['with a size that is text', { size: '1000' }],
  ['with notes that are no texts', { metadata: { a: 1 } }],
  ['with too many notes', { metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [i, ''])) }],
])('a header %s is refused', async (_name, change) => {
  const made = writeBackup({ ...header, ...change }, pieces(content, 300))
  await expect(read(await joined(made.read()))).rejects.toMatchObject({ reason: 'VALIDATION' })
})
