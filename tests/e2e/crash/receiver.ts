import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** A receiver of webhooks that sometimes fails, and what it has acknowledged. */
export interface Receiver {
  readonly url: string
  /** How often each event was acknowledged: by `type id`. */
  readonly acknowledged: ReadonlyMap<string, number>
  /** Messages whose first attempt it refused. */
  readonly refused: ReadonlySet<string>
  /** Says whether it refuses any from now on. */
  refuse(some: boolean): void
}

/** Starts a receiver that answers the first attempt of every fourth message with 500; it closes with its test. */
export async function startReceiver(): Promise<Receiver> {
  const acknowledged = new Map<string, number>()
  const refused = new Set<string>()
  const seen = new Set<string>()
  let refusing = true
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const message = String(request.headers['webhook-id'])
    if (refusing && !seen.has(message) && seen.size % 4 === 0) {
      seen.add(message)
      refused.add(message)
      response.writeHead(500).end()
      return
    }
    seen.add(message)
    const { type, data } = JSON.parse(Buffer.concat(chunks).toString()) as { type: string; data: { id: string } }
    const event = `${type} ${data.id}`
    acknowledged.set(event, (acknowledged.get(event) ?? 0) + 1)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    acknowledged,
    refused,
    refuse(some) {
      refusing = some
    },
  }
}
