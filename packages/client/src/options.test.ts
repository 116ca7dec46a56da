import { type MillraceOptions, ValidationError } from '@millrace/core'
import { expect, test } from 'vitest'
import { compileGrpcOptions } from './options.ts'

test('defaults', () => {
  expect(compileGrpcOptions({}, {})).toMatchObject({ endpoint: 'localhost:50051', maxConnections: 1, compression: 'none', tls: undefined })
})

test('TLS is on, off, or as it is set up', () => {
  const tls = (given: MillraceOptions['tls']) => compileGrpcOptions({ tls: given }, {}).tls
  expect([tls(true), tls(false), tls({ serverName: 'host' })]).toEqual([{}, undefined, { serverName: 'host' }])
})

test.each<[string, MillraceOptions]>([
  ['maxConnections', { maxConnections: 0 }],
  ['maxConnections', { maxConnections: 101 }],
  ['compression', { compression: 'brotli' as 'gzip' }],
])('%s is checked', (path, options) => {
  expect(() => compileGrpcOptions(options, {})).toThrow(ValidationError)
  expect(() => compileGrpcOptions(options, {})).toThrow(new RegExp(`^${path}: `))
})
