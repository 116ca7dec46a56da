import { ValidationError } from '@millrace/core'
import { expect, test } from 'vitest'
import { parseEndpoint, parseEndpoints } from './endpoint.ts'

test.each([
  ['localhost:50051', 'localhost:50051', false],
  ['localhost', 'localhost:50051', false],
  ['10.0.0.7:80', '10.0.0.7:80', false],
  ['[::1]:50051', '[::1]:50051', false],
  ['http://host:1234', 'host:1234', false],
  ['http://host/', 'host:50051', false],
  ['https://api.example.com', 'api.example.com:443', true],
  ['https://api.example.com:8443/', 'api.example.com:8443', true],
])('%s', (endpoint, target, tls) => {
  expect(parseEndpoint(endpoint)).toEqual({ target, tls })
})

test.each(['', 'ftp://host', 'https://', 'host:port', 'host:123456', 'http://host/path', 'http://user@host', 'a b', '::1'])(
  "'%s' is refused",
  (endpoint) => {
    expect(() => parseEndpoint(endpoint)).toThrow(ValidationError)
    expect(() => parseEndpoint(endpoint)).toThrow(/^endpoint: /)
  },
)

test('several, with commas between them', () => {
  expect(parseEndpoints('a:1, https://b ,a:1')).toEqual([
    { target: 'a:1', tls: false },
    { target: 'b:443', tls: true },
  ])
  expect(() => parseEndpoints('a:1,')).toThrow(/^endpoint: '' is not/)
})
