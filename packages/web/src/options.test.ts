import { ValidationError } from '@millrace/core'
import { afterEach, expect, test, vi } from 'vitest'
import { compileWebOptions } from './options.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.unstubAllEnvs()
})

test('an endpoint is a server, several, or a path on the own host', () => {
  const endpoint = (given: string | string[]) => compileWebOptions({ endpoint: given }).endpoint
  expect(endpoint('https://jobs.example.com')).toBe('https://jobs.example.com')
  expect(endpoint('http://[::1]:50080/')).toBe('http://[::1]:50080')
  expect(endpoint('https://example.com/millrace/')).toBe('https://example.com/millrace')
  expect(endpoint('/millrace')).toBe('/millrace')
  expect(endpoint('/')).toBe('')
  expect(endpoint(['http://a', 'http://b'])).toBe('http://a,http://b')
})

test.each(['localhost:50051', 'ftp://host', 'https://', '//host', 'https://host?x=1', 'https://host#x', '', 'http://a b'])(
  '%j is none',
  (endpoint) => {
    expect(() => compileWebOptions({ endpoint })).toThrow(ValidationError)
    expect(() => compileWebOptions({ endpoint })).toThrow(/^endpoint: /)
  },
)

test('by default it is what the environment says, then the own origin in a page, then this machine', () => {
  expect(compileWebOptions({}).endpoint).toBe('http://localhost:50080')
  vi.stubGlobal('location', { origin: 'null' })
  expect(compileWebOptions({}).endpoint).toBe('http://localhost:50080')
  vi.stubGlobal('location', { origin: 'https://app.example.com' })
  expect(compileWebOptions({}).endpoint).toBe('https://app.example.com')
  vi.stubEnv('MILLRACE_ENDPOINT', 'https://jobs.example.com')
  vi.stubEnv('MILLRACE_API_KEY', 'mr_key')
  vi.stubEnv('MILLRACE_NAMESPACE', 'blue')
  const compiled = compileWebOptions({})
  expect(compiled).toMatchObject({ endpoint: 'https://jobs.example.com', namespace: 'blue' })
  expect(compiled.credentials.get()).toBe('mr_key')
})

test('where there is no environment, or it may not be read, there is none', () => {
  vi.stubGlobal('process', undefined)
  expect(compileWebOptions({}).namespace).toBe('default')
  vi.stubGlobal('process', {
    get env() {
      throw new Error('not capable')
    },
  })
  expect(compileWebOptions({}).namespace).toBe('default')
})
