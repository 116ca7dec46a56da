import { runConformanceTests } from '@durable-streams/server-conformance-tests'
import { beforeAll, describe, vi } from 'vitest'

/**
 * Declares the suite of the protocol's authors, as it is. It has no place for a key, which every request of ours needs, and waits
 * twice for the end of a long poll, which we ask to be short.
 *
 * @param server - known when the tests begin.
 */
export function declareSuite(server: () => { readonly http: string; readonly key: string }): void {
  const options = { baseUrl: '' }
  beforeAll(() => {
    const { http, key } = server()
    options.baseUrl = `http://${http}/v1/durable-streams`
    const { fetch } = globalThis
    vi.stubGlobal('fetch', (input: Request | string | URL, init?: RequestInit) => {
      const request = new Request(input, init)
      request.headers.set('x-api-key', key)
      request.headers.set('prefer', 'wait=1')
      return fetch(request)
    })
  })
  // What the suite holds for optional, and nobody asked for, is left out rather than skipped: subscriptions.
  vi.spyOn(describe, 'runIf').mockImplementation((condition) => (condition ? describe : ((() => undefined) as never)))
  runConformanceTests(options)
}
