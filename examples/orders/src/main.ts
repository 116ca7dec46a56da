// A shop: `node src/main.ts`. Starts a server, sells, bills with two consumers, sends receipts, and prints what was spent.
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace } from '@millrace/client'
import { startServer } from './server.ts'
import { bill, type Order, sell, spentBy } from './shop.ts'

const customers = ['ada', 'grace', 'alan']
const orders = Array.from({ length: 300 }, (_, i): Order => ({ id: `order-${i}`, customer: customers[i % 3]!, cents: 100 + i }))

await using data = await mkdtempDisposable(join(tmpdir(), 'millrace-orders-'))
await using server = await startServer(data.path)
await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key })

await sell(mr, orders)

const stop = new AbortController()
const billing = [bill(mr, stop.signal), bill(mr, stop.signal)]

let sent = 0
const receipts = mr.worker({ queue: 'receipts', handler: () => void sent++, concurrency: 50, signals: false })
await receipts.start()
// Bills are pushed as they are made; `after: 0` begins with those that are there.
const billed = new Set<string>()
for await (const { key } of mr.kv('bills').watch({ after: 0 })) if (billed.add(key).size === orders.length) break
while ((await mr.stream('orders').group('billing').states()).some(({ lag }) => lag > 0)) await new Promise((done) => setTimeout(done, 20))
stop.abort()
await Promise.all(billing)
while (sent < orders.length) await new Promise((done) => setTimeout(done, 20))
await receipts.stop()

for (const customer of customers) console.log(customer.padEnd(8), ((await spentBy(mr, customer)) / 100).toFixed(2).padStart(8))
console.log(`${orders.length} orders billed, ${sent} receipts sent`)
