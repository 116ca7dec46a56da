import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ConfigError, defineConfig, loadConfig, resolveConfig } from './load.ts'

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-config-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

async function problemsOf(load: Promise<unknown>): Promise<readonly string[]> {
  const error = await load.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).problems
}

describe('settings', () => {
  it('have defaults', async () => {
    const { config, warnings } = await loadConfig({ env: {}, directory: await folderWith({}) })
    expect(warnings).toEqual([])
    expect(config).toEqual({
      attestationSimulated: false,
      data: './.millrace',
      store: 'sqlite:',
      tables: 'pglite:',
      tablesTimeout: 30_000,
      objects: 'disk:',
      objectLimit: 100 * 1024 ** 3,
      grpc: { host: '127.0.0.1', port: 50051 },
      http: { host: '127.0.0.1', port: 50080 },
      httpOrigins: ['*'],
      payloadLimit: 4 * 1024 * 1024,
      queueDepth: 10_000_000,
      retentionCompleted: 24 * 3_600_000,
      retentionFailed: 14 * 24 * 3_600_000,
      retentionCancelled: 24 * 3_600_000,
      retentionRequests: 24 * 3_600_000,
      shutdownGrace: 10_000,
      webhookAllowPrivate: false,
      analyticsOpen: 16,
      analyticsIdle: 300_000,
      analyticsMemory: 512 * 1024 ** 2,
      analyticsSpill: 4 * 1024 ** 3,
      analyticsThreads: 2,
      analyticsTimeout: 300_000,
      logLevel: 'info',
      logFormat: 'auto',
      backupEvery: 86_400_000,
      backupKeep: 7,
      dev: false,
      json: false,
    })
  })

  it('come from the flag, else the environment, else the file', async () => {
    const directory = await folderWith({
      'millrace.config.json': JSON.stringify({ grpc: '0.0.0.0:1', payloadLimit: 2048, shutdownGrace: '3s', queueDepth: 5 }),
    })
    const { config } = await loadConfig({
      flags: { grpc: '[::1]:3', dev: true },
      env: { MILLRACE_GRPC: 'host:2', MILLRACE_PAYLOAD_LIMIT: '1MiB', MILLRACE_JSON: '1', MILLRACE_DATA: '' },
      directory,
    })
    expect(config).toMatchObject({
      grpc: { host: '::1', port: 3 },
      payloadLimit: 1024 * 1024,
      shutdownGrace: 3000,
      queueDepth: 5,
      dev: true,
      json: true,
      data: './.millrace',
    })
  })

  it.each([
    ['millrace.config.mjs', 'export default { queueDepth: 7 }'],
    ['millrace.config.ts', 'const queueDepth: number = 7\nexport default { queueDepth }'],
  ])('are read from %s', async (name, content) => {
    const directory = await folderWith({ [name]: content })
    expect((await loadConfig({ env: {}, directory })).config.queueDepth).toBe(7)
    expect((await loadConfig({ env: { MILLRACE_CONFIG: join(directory, name) } })).config.queueDepth).toBe(7)
    expect((await loadConfig({ env: {}, file: name, directory })).config.queueDepth).toBe(7)
  })

  it('given in code pass twice unchanged', () => {
    const once = resolveConfig(defineConfig({ grpc: '0.0.0.0:0', retentionFailed: '90m', payloadLimit: 5000, data: undefined }))
    expect(once).toMatchObject({ grpc: { host: '0.0.0.0', port: 0 }, retentionFailed: 5_400_000, payloadLimit: 5000, data: './.millrace' })
    expect(resolveConfig(once)).toEqual(once)
  })
})

describe('wrong settings', () => {
  it.each([
    ['grpc', '127.0.0.1', /is not HOST:PORT/],
    ['grpc', ':50051', /is not HOST:PORT/],
    ['grpc', '127.0.0.1:65536', /is not HOST:PORT/],
    ['grpc', 'http://localhost:1', /is not HOST:PORT/],
    ['payloadLimit', '1023', /is not a size from 1024/],
    ['payloadLimit', '-1', /is not a size/],
    ['payloadLimit', 'NaN', /is not a size/],
    ['payloadLimit', '4MB', /is not a size/],
    ['queueDepth', '0', /is not a whole number from 1/],
    ['queueDepth', '1.5', /is not a whole number/],
    ['queueDepth', '1e3', /is not a whole number/],
    ['retentionFailed', '-1s', /is not a duration/],
    ['retentionRequests', '1s', /is not a duration from 1m/],
    ['shutdownGrace', '2h', /is not a duration from 0ms to 1h/],
    ['store', 'mysql://localhost', /is not a store this version knows/],
    ['store', 'sqlite://x', /is not a store/],
    ['tables', 'mysql://localhost', /is not a place for tables/],
    ['logLevel', 'verbose', /is none of debug, info, warn, error, silent/],
    ['dev', 'yes', /is neither true nor false/],
    ['data', ' ', /is not a text/],
  ])('are refused: %s %s', async (name, value, message) => {
    const directory = await folderWith({})
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    const variable = `MILLRACE_${flag.replaceAll('-', '_').toUpperCase()}`
    const [byFlag] = await problemsOf(loadConfig({ flags: { [name]: value }, env: {}, directory }))
    expect(byFlag).toMatch(message)
    expect(byFlag).toMatch(new RegExp(`^--${flag}: `))
    const [byVariable] = await problemsOf(loadConfig({ env: { [variable]: value }, directory }))
    expect(byVariable).toMatch(new RegExp(`^${variable} \\(environment\\): `))
    expect(() => resolveConfig({ [name]: value })).toThrow(message)
  })

  it('are told all at once, each with its file', async () => {
    const directory = await folderWith({ 'millrace.config.json': '{"grpc": 5, "dev": "maybe"}' })
    const problems = await problemsOf(loadConfig({ env: {}, directory }))
    const file = join(directory, 'millrace.config.json')
    expect(problems).toEqual([expect.stringContaining(`grpc (${file}): '5'`), expect.stringContaining(`dev (${file}): 'maybe'`)])
  })

  it('with unknown names are met with what was meant', async () => {
    const directory = await folderWith({ 'millrace.config.json': '{"playloadLimit": 5}' })
    expect(await problemsOf(loadConfig({ env: {}, directory }))).toEqual([expect.stringContaining('did you mean payloadLimit?')])
    const { warnings } = await loadConfig({ env: { MILLRACE_GPRC: 'x', MILLRACE_API_KEY: 'k' }, directory: await folderWith({}) })
    expect(warnings).toEqual([expect.stringMatching(/MILLRACE_GPRC.*did you mean MILLRACE_GRPC\?/)])
    expect(() => resolveConfig({ host: 'x' } as object)).toThrow(/there is no such setting/)
  })

  it('in files that cannot be read name the file', async () => {
    for (const [name, content] of [
      ['millrace.config.json', '{'],
      ['millrace.config.json', '[]'],
      ['millrace.config.mjs', 'export const x = 1'],
      ['millrace.config.mjs', 'throw new Error("boom")'],
    ] as const) {
      const directory = await folderWith({ [name]: content })
      expect(await problemsOf(loadConfig({ env: {}, directory }))).toEqual([expect.stringContaining(join(directory, name))])
    }
    expect(await problemsOf(loadConfig({ env: {}, file: 'none.json', directory: '/nowhere' }))).toEqual([
      '--config: there is no file /nowhere/none.json',
    ])
  })

  it('of TLS must be complete', () => {
    expect(() => resolveConfig({ tlsCert: 'a' })).toThrow(/tlsCert: needs the certificate's private key too; set --tls-key/)
    expect(() => resolveConfig({ tlsKey: 'a' })).toThrow(/tlsKey: needs the certificate too/)
    expect(() => resolveConfig({ tlsClientCa: 'a' })).toThrow(/tlsClientCa: needs a server certificate/)
  })

  it('never show a secret', () => {
    for (const rootKey of ['hunter2', 'has a blank in its thirty-two characters', 'x'.repeat(300)]) {
      expect(() => resolveConfig({ rootKey })).toThrow(/^rootKey: too weak or malformed; give 32 to 255/)
      expect(() => resolveConfig({ rootKey })).not.toThrow(rootKey)
    }
  })
})
