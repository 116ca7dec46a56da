import type { Page } from '@millrace/dev'

/** The requests of a page to a server that go on without end. */
export interface Streams {
  /** Paths of those that are open now. */
  readonly open: readonly string[]
  /** Paths of all that ever were. */
  readonly all: readonly string[]
}

/** Notes the streams of a page: calls whose answer is `text/event-stream`. */
export async function noteStreams(page: Page): Promise<Streams> {
  const session = await page.context().newCDPSession(page)
  const open = new Map<string, string>()
  const all: string[] = []
  await session.send('Network.enable')
  session.on('Network.responseReceived', ({ requestId, response }) => {
    if (!response.mimeType.includes('event-stream')) return
    const { pathname } = new URL(response.url)
    open.set(requestId, pathname)
    all.push(pathname)
  })
  session.on('Network.loadingFinished', ({ requestId }) => open.delete(requestId))
  session.on('Network.loadingFailed', ({ requestId }) => open.delete(requestId))
  return {
    get open() {
      return [...open.values()]
    },
    all,
  }
}
