import type { Health } from '../../services/health.ts'
import type { HttpExchange } from './exchange.ts'
import type { HttpMount } from './server.ts'

/** What tells of the server itself, without a key. */
export function createPages({ health }: { readonly health: Health }): HttpMount[] {
  const page = (path: string, answer: (exchange: HttpExchange) => Promise<void>): HttpMount => ({ prefix: path, handle: answer })
  return [
    // This process answers: nothing more is asked by who would restart it.
    page('/healthz', (exchange) => exchange.send(200, 'application/json', '{"status":"ok"}', { 'cache-control': 'no-store' })),
    page('/readyz', async (exchange) => {
      const problem = await health.problem()
      const body = problem === '' ? { status: 'ready' } : { status: 'not ready', detail: problem }
      await exchange.send(problem === '' ? 200 : 503, 'application/json', JSON.stringify(body), { 'cache-control': 'no-store' })
    }),
  ]
}
