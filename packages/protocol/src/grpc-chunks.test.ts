import { expect, it } from 'vitest'
import { GetObjectResponse, ObjectServiceDefinition, PutObjectRequest, PutPartRequest } from './gen/millrace/v1/object_service.ts'
import { grpcDefinition } from './grpc.ts'
import { encodeChunk } from './grpc-chunks.ts'

it.each([
  ['GetObjectResponse', GetObjectResponse],
  ['PutObjectRequest', PutObjectRequest],
  ['PutPartRequest', PutPartRequest],
])('a chunk in a %s is encoded as the generated code does', (_, type) => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_152]) {
    const message = { message: { $case: 'data', value: new Uint8Array(length).fill(length % 255) } } as const
    const encoded = encodeChunk(type, message)
    const generated = type.encode(message).finish()
    expect(encoded?.length).toBe(generated.length)
    expect(encoded?.every((byte, i) => byte === generated[i])).toBe(true)
  }
  expect(encodeChunk(type, { message: undefined })).toBeUndefined()
})

it('all other messages are encoded by the generated code', () => {
  const { putObject, getObject } = grpcDefinition(ObjectServiceDefinition)
  const digest = { message: { $case: 'sha256', value: 'abc' } } as const
  expect(putObject.requestDeserialize(putObject.requestSerialize(digest))).toEqual(digest)
  const request = { bucket: 'b', key: 'k', offset: 1, length: undefined, ifMatch: '', ifNoneMatch: '' }
  expect(getObject.requestDeserialize(getObject.requestSerialize(request))).toEqual(request)
  const data = { message: { $case: 'data', value: new Uint8Array([1, 2]) } } as const
  expect([...getObject.responseSerialize(data)]).toEqual([18, 2, 1, 2])
})
