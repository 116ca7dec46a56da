import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Metrics } from '../../metrics.ts'
import type { Health } from '../../services/health.ts'
import { docsPage, docsPolicy } from './docs-page.ts'
import type { HttpExchange } from './exchange.ts'
import { HttpError } from './http-error.ts'

/** What the pages tell of. */
export interface PageOptions {
  readonly health: Health
  readonly metrics: Metrics
}

const live = { 'cache-control': 'no-store' }

/** Pages of the server itself, by their paths. They need no key and tell of no tenant. */
export function createPages({ health, metrics }: PageOptions): ReadonlyMap<string, (exchange: HttpExchange) => Promise<void>> {
  let openapi: Promise<string> | undefined
  const json = (exchange: HttpExchange, status: number, body: object) =>
    exchange.send(status, 'application/json', JSON.stringify(body), live)
  const pages: Readonly<Record<string, (exchange: HttpExchange) => Promise<void>>> = {
    // This process answers: nothing more is asked by who would restart it.
    '/healthz': (exchange) => json(exchange, 200, { status: 'ok' }),
    async '/readyz'(exchange) {
      const detail = await health.problem()
      await (detail === '' ? json(exchange, 200, { status: 'ready' }) : json(exchange, 503, { status: 'not ready', detail }))
    },
    async '/metrics'(exchange) {
      const { contentType, text } = await metrics.page()
      await exchange.send(200, contentType, text, live)
    },
    async '/openapi.json'(exchange) {
      openapi ??= readFile(fileURLToPath(import.meta.resolve('@millrace/protocol/openapi.json')), 'utf8')
      await exchange.send(200, 'application/json', await openapi, { 'cache-control': 'max-age=60' })
    },
    // Whoever opens the address that the server prints sees a page.
    '/': (exchange) => exchange.send(302, 'text/plain; charset=utf-8', 'See /docs.\n', { location: 'docs', ...live }),
    '/docs': (exchange) =>
      exchange.send(200, 'text/html; charset=utf-8', docsPage, { 'content-security-policy': docsPolicy, 'cache-control': 'max-age=60' }),
  }
  return new Map(Object.entries(pages).map(([path, answer]) => [path, readOnly(path, answer)]))
}

function readOnly(path: string, answer: (exchange: HttpExchange) => Promise<void>) {
  return (exchange: HttpExchange): Promise<void> => {
    if (exchange.isRead) return answer(exchange)
    throw new HttpError(405, 'VALIDATION', `${path} takes GET, not ${exchange.request.method}.`, { headers: { allow: 'GET' } })
  }
}
