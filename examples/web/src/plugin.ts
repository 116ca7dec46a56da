// A Vite plugin that gives a page its backend while it is developed: a Millrace server, a worker, and what a web application
// has besides: an address at which a logged-in user gets a token.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { Millrace } from '@millrace/client'
import { startServer } from '@millrace/server'
import type { Connect, Plugin } from 'vite'
import { paintPlace } from './worker.ts'

/** The backend of the page: begins with `vite` and `vite preview`, ends with them. */
export function millrace(): Plugin {
  let backend: Awaited<ReturnType<typeof startBackend>> | undefined
  const connect = (middlewares: Connect.Server, server: { once(event: 'close', fn: () => void): unknown } | null) => {
    middlewares.use('/token', backend!.answerToken)
    server?.once('close', () => void backend!.stop())
  }
  return {
    name: 'millrace',
    async config({ root = process.cwd() }, { command }) {
      if (command !== 'serve') return undefined
      backend = await startBackend(process.env.MILLRACE_DATA ?? join(root, '.millrace'))
      // The page and the API have one origin, as behind a reverse proxy.
      const proxy = { '/v1': `http://${backend.http}` }
      return { server: { proxy }, preview: { proxy } }
    },
    configureServer: ({ middlewares, httpServer }) => connect(middlewares, httpServer),
    configurePreviewServer: ({ middlewares, httpServer }) => connect(middlewares, httpServer),
  }
}

/** @param data - the server's folder: what it holds is there again when it comes back. */
async function startBackend(data: string) {
  const server = await startServer({ data, grpc: '127.0.0.1:0', http: '127.0.0.1:0', dev: true, logLevel: 'warn' })
  const mr = new Millrace({ endpoint: server.grpc, apiKey: server.key })
  const worker = mr.worker({ tasks: { paint: paintPlace }, concurrency: 2 })
  await worker.start()
  return {
    http: server.http,
    /** Whoever is logged in gets a token for what the page does, and for no more. Here everybody is. */
    async answerToken(_request: IncomingMessage, response: ServerResponse): Promise<void> {
      const { token } = await mr.tokens.create({ scopes: ['tasks:read', 'tasks:write', 'queues:read'], ttl: '5m' })
      response.end(token)
    },
    async stop(): Promise<void> {
      await worker.stop({ drain: 0 })
      await mr.close()
      await server.stop()
    },
  }
}
