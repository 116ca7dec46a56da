import type { Millrace, ReceivedMessage } from '@millrace/client'

/** An order, as the shop writes it to the stream. */
export interface Order {
  readonly id: string
  readonly customer: string
  readonly cents: number
}

/** Writes orders; those of one customer go to one partition, so that they are billed in order. */
export async function sell(mr: Millrace, orders: readonly Order[]): Promise<void> {
  const stream = mr.stream<Order>('orders')
  await stream.create({ partitions: 4, retention: { maxAge: '30d' } })
  await Promise.all(orders.map((order) => stream.write([{ payload: order, key: order.customer, headers: { type: 'order.created' } }])))
}

/** Bills orders until it is told to stop. Several share the work: each gets its share of the partitions. */
export async function bill(mr: Millrace, signal: AbortSignal): Promise<void> {
  try {
    for await (const message of mr.stream<Order>('orders').subscribe({ group: 'billing', signal })) await billOne(mr, message)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** A message may come again after a crash, so everything here does no more when it is done twice. */
async function billOne(mr: Millrace, message: ReceivedMessage<Order>): Promise<void> {
  const { id, customer, cents } = message.payload
  await mr.kv<number>('bills').set(`${customer}:${id}`, cents)
  await mr.queue('receipts').enqueue({ order: id, to: customer }, { idempotencyKey: id })
  await message.commit()
}

/** What a customer has spent, in cents. */
export async function spentBy(mr: Millrace, customer: string): Promise<number> {
  let cents = 0
  for await (const { value } of mr.kv<number>('bills').entries({ prefix: `${customer}:` })) cents += value
  return cents
}
