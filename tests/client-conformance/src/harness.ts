import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace } from '@millrace/client'
import { type RunningServer, startServer } from '@millrace/server'
import { afterAll, beforeAll } from 'vitest'
import { startWorker } from './functions.ts'
import type { Setup } from './kit.ts'

/** A server for the tests of a file. */
export interface TestServer {
  /** Where gRPC and HTTP are; the same after a restart. */
  readonly grpc: string
  readonly http: string
  /** Stops it, and starts it again on the same data. */
  restart(): Promise<void>
  /** Runs something in a namespace of its own, with a worker there. */
  inNamespace<T>(name: string, endpoint: string, run: (setup: Setup) => Promise<T>): Promise<T>
}

/** An administrator key that tests may show. */
const rootKey = `mr_${'k'.repeat(40)}`

/** Starts a server before the tests of this file, and ends it after them. */
export function useServer(): TestServer {
  let data = ''
  let server: RunningServer
  let readOnlyKey: string
  const start = (grpc: string, http: string) => startServer({ data, grpc, http, rootKey, logLevel: 'silent', shutdownGrace: '1s' })
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'millrace-conformance-'))
    server = await start('127.0.0.1:0', '127.0.0.1:0')
    const admin = new Millrace({ endpoint: server.grpc, apiKey: rootKey })
    readOnlyKey = (await admin.keys.create({ name: 'reader', scopes: ['tasks:read'] })).key
    await admin.close()
  })
  afterAll(async () => {
    await server?.stop()
    await rm(data, { recursive: true, force: true })
  })
  return {
    get grpc() {
      return server.grpc
    },
    get http() {
      return `http://${server.http}`
    },
    async restart() {
      const { grpc, http } = server
      await server.stop()
      server = await start(grpc, http!)
    },
    async inNamespace(name, endpoint, run) {
      const namespace = name.replace(/[^a-z0-9]+/gi, '-').slice(0, 100)
      await using _worker = await startWorker({ endpoint: server.grpc, key: rootKey, namespace })
      return await run({ endpoint, key: rootKey, readOnlyKey, namespace })
    },
  }
}
