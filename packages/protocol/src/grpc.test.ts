import { expect, test } from 'vitest'
import { GetObjectResponse, ObjectServiceDefinition } from './gen/millrace/v1/object_service.ts'
import { TableServiceDefinition, WriteRowsResponse } from './gen/millrace/v1/table_service.ts'
import { grpcDefinition } from './grpc.ts'

const { getObject } = grpcDefinition(ObjectServiceDefinition)
const { writeRows } = grpcDefinition(TableServiceDefinition)

function rowsOf(rows: Uint8Array, index = 1): WriteRowsResponse {
  const result = { columns: [{ name: 'größe', type: 'integer' }], rows, contentType: '' }
  return { results: [{ index, result, affected: 7, error: undefined }], requestId: 'r' }
}

test('messages of any size are encoded as the generated code does, and stay as they are when others follow', () => {
  const sizes = [0, 1, 127, 128, 16_383, 16_384, 3_000_000, 5, 0]
  const messages = sizes.map((size) => rowsOf(new Uint8Array(size).fill(1 + (size % 200))))
  const encoded = messages.map((message) => writeRows.responseSerialize(message))
  for (const [i, message] of messages.entries()) {
    const generated = WriteRowsResponse.encode(message).finish()
    expect(encoded[i]!.length).toBe(generated.length)
    expect(encoded[i]!.every((byte, at) => byte === generated[at])).toBe(true)
    expect(writeRows.responseDeserialize(encoded[i]!).results[0]!.result!.rows.length).toBe(sizes[i])
  }
  const data = { message: { $case: 'data', value: new Uint8Array([1, 2]) } } as const
  expect([...getObject.responseSerialize(data)]).toEqual([...GetObjectResponse.encode(data).finish()])
})

test('a message that cannot be encoded leaves nothing behind', () => {
  const message = rowsOf(new Uint8Array([1, 2, 3]))
  const whole = writeRows.responseSerialize(message)
  // It fails within the second of two messages in a message, when the first is written.
  const broken = { ...message, results: [...message.results, rowsOf(new Uint8Array(9), 2 ** 40).results[0]!] }
  expect(() => writeRows.responseSerialize(broken)).toThrow('int32')
  expect(writeRows.responseSerialize(message)).toEqual(whole)
})
