import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Millrace } from '@millrace/client'
import { build } from 'vite'

/** The frameworks whose adapters are tested, and how their page is built. */
export const frameworks = {
  'React 18': { entry: 'react.tsx', alias: { react: 'react-18', 'react-dom': 'react-dom-18' } },
  'React 19': { entry: 'react.tsx', alias: {} },
  'Vue 3': { entry: 'vue.ts', alias: {} },
} as const

export type Framework = keyof typeof frameworks

const pages = fileURLToPath(new URL('pages/', import.meta.url))
const modules = fileURLToPath(new URL('../node_modules/', import.meta.url))

/** Builds a page from the sources of all it uses, in the framework's development mode: with StrictMode's double mounting. */
async function buildPage(framework: Framework): Promise<string> {
  const { entry, alias } = frameworks[framework]
  const result = await build({
    configFile: false,
    root: pages,
    mode: 'development',
    logLevel: 'warn',
    resolve: {
      conditions: ['millrace-source', 'browser', 'module', 'import', 'development', 'default'],
      dedupe: ['react', 'react-dom', 'vue'],
      alias: Object.entries(alias).map(([find, replacement]) => ({
        find: new RegExp(`^${find}(?=/|$)`),
        replacement: modules + replacement,
      })),
    },
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    build: { write: false, minify: false, rolldownOptions: { input: `${pages}${entry}` } },
  })
  const [output] = Array.isArray(result) ? result : [result]
  if (!output || !('output' in output)) throw new Error('Vite built nothing.')
  return output.output[0].code
}

const scopes = ['tasks:read', 'tasks:write', 'queues:read', 'kv:read', 'kv:write', 'streams:read', 'streams:write', 'tables:read']

/** A web site with one framework's page, and a backend that makes tokens. */
export interface Site extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly origin: string
  /** Tokens made so far. */
  readonly tokens: number
}

/**
 * Serves a page.
 *
 * @param mr - makes the tokens.
 * @param ttl - how long a token lasts, in milliseconds.
 */
export async function serveSite(framework: Framework, mr: () => Millrace, ttl: () => number): Promise<Site> {
  const code = await buildPage(framework)
  let tokens = 0
  const server = createServer(async (request, response) => {
    if (request.method === 'POST' && request.url === '/token') {
      tokens++
      const made = mr().tokens.create({ scopes, ttl: ttl() })
      const { token } = await made.catch(() => ({ token: '' }))
      response.writeHead(token ? 200 : 503).end(token)
    } else if (request.url === '/page.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(code)
    else {
      response.writeHead(200, { 'content-type': 'text/html' })
      response.end(
        '<!doctype html><meta charset="utf-8"><title>Page</title><div id="app"></div><script type="module" src="/page.js"></script>',
      )
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get tokens() {
      return tokens
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
