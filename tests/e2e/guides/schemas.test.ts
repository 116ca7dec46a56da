import { ConflictError, NotFoundError, ValidationError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'

const fixture = useServer()

interface Order {
  readonly customer: { readonly id: number }
  readonly total?: number
}

const order = {
  type: 'object',
  properties: {
    customer: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] },
    total: { type: 'number', minimum: 0 },
  },
  required: ['customer'],
}

/** A client with the schema `order` attached to the stream and the queue `orders`. */
async function setUp() {
  const mr = fixture.client()
  await mr.schemas.register('order', order)
  await mr.schemas.attach('order', { stream: 'orders' })
  await mr.schemas.attach('order', { queue: 'orders' })
  return { mr, stream: mr.stream<Order>('orders'), queue: mr.queue<Order>('orders') }
}

async function refusalOf(call: Promise<unknown>): Promise<ValidationError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ValidationError)
  return error as ValidationError
}

const bad = (payload: unknown) => payload as Order

describe('what is written to a stream', () => {
  test('is refused with the paths that fail, all of the call', async () => {
    const { stream } = await setUp()
    const error = await refusalOf(
      stream.write([{ payload: { customer: { id: 1 } } }, { payload: bad({ customer: { id: 'x' }, total: -1 }) }, { payload: bad({}) }]),
    )
    expect(error.fields).toEqual([
      { path: 'messages[1].payload.customer.id', message: "is not integer (schema 'order', version 1)" },
      { path: 'messages[1].payload.total', message: "must be >= 0 (schema 'order', version 1)" },
      { path: 'messages[2].payload.customer', message: "is missing (schema 'order', version 1)" },
    ])
    await expect(stream.read()).rejects.toThrow(NotFoundError)
  })

  test('of calls that travel together, only those that do not fit are refused', async () => {
    const { stream } = await setUp()
    const writes = [1, 'x', 2].map((id) => stream.write([{ payload: bad({ customer: { id } }) }]))
    const outcomes = await Promise.allSettled(writes)
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((await stream.read()).map(({ payload }) => payload.customer.id)).toEqual([1, 2])
  })

  test('carries the version, to readers of every kind', async () => {
    const { mr, stream } = await setUp()
    await stream.write([{ payload: { customer: { id: 1 } }, headers: { trace: 't' } }])
    await mr.schemas.register('order', { ...order, properties: { ...order.properties, note: { type: 'string' } } })
    await stream.write([{ payload: { customer: { id: 2 } } }])
    const versions = (list: readonly { readonly schema?: unknown; readonly headers: unknown }[]) =>
      list.map(({ schema, headers }) => [schema, headers])
    const expected = [
      [{ name: 'order', version: 1 }, { trace: 't' }],
      [{ name: 'order', version: 2 }, {}],
    ]
    expect(versions(await stream.read())).toEqual(expected)
    for (const options of [
      { partition: 0, from: 'earliest' as const },
      { group: 'g', from: 'earliest' as const },
    ]) {
      const seen = []
      for await (const message of stream.subscribe(options)) {
        seen.push(message)
        if (seen.length === 2) break
      }
      expect(versions(seen)).toEqual(expected)
    }
  })

  test('that is no JSON is refused', async () => {
    const { mr } = await setUp()
    const error = await refusalOf(mr.stream('orders').write([{ payload: Uint8Array.of(1) }]))
    expect(error.fields).toMatchObject([{ path: 'messages[0].contentType' }])
  })

  test('nothing is checked when the schema is detached, of other streams, and in other namespaces', async () => {
    const { mr, stream } = await setUp()
    await mr.stream('others').write([{ payload: 1 }])
    await fixture
      .client()
      .stream('orders')
      .write([{ payload: 1 }])
    await mr.schemas.detach({ stream: 'orders' })
    await stream.write([{ payload: bad(1) }])
    expect((await stream.read()).map(({ schema }) => schema)).toEqual([undefined])
  })
})

test('a transaction whose messages or jobs do not fit changes nothing', async () => {
  const { mr, stream, queue } = await setUp()
  const fine = { customer: { id: 1 } }
  const error = await refusalOf(
    mr.writeTransaction({
      streams: [{ stream: 'orders', messages: [{ payload: fine }, { payload: {} }] }],
      jobs: [{ queue: 'orders', payload: { customer: 1 } }],
    }),
  )
  expect(error.fields.map(({ path }) => path)).toEqual(['streams[0].messages[1].payload.customer', 'jobs[0].payload.customer'])
  await mr.writeTransaction({ streams: [{ stream: 'orders', messages: [{ payload: fine }] }], jobs: [{ queue: 'orders', payload: fine }] })
  expect((await stream.read()).map(({ schema }) => schema)).toEqual([{ name: 'order', version: 1 }])
  expect((await queue.receive({ max: 10 })).map(({ schema }) => schema)).toEqual([{ name: 'order', version: 1 }])
})

describe('what is enqueued', () => {
  test('is refused with the paths that fail, and carries the version', async () => {
    const { queue } = await setUp()
    const error = await refusalOf(queue.enqueueBatch([{ payload: { customer: { id: 1 } } }, { payload: bad({ customer: {} }) }]))
    expect(error.fields).toEqual([{ path: 'jobs[1].payload.customer.id', message: "is missing (schema 'order', version 1)" }])
    await refusalOf(queue.enqueue(bad({ customer: 1 })))
    const { jobId } = await queue.enqueue({ customer: { id: 7 } }, { headers: { a: 'b' } })
    const known = { schema: { name: 'order', version: 1 }, headers: { a: 'b' } }
    expect(await queue.get(jobId)).toMatchObject(known)
    const [job] = await queue.receive()
    expect({ schema: job!.schema, headers: job!.headers }).toEqual(known)
  })

  test('a repeat with an idempotency key is the same job in a later version', async () => {
    const { mr, queue } = await setUp()
    const first = await queue.enqueue({ customer: { id: 1 } }, { idempotencyKey: 'k' })
    await mr.schemas.register('order', { ...order, title: 'two' })
    expect(await queue.enqueue({ customer: { id: 1 } }, { idempotencyKey: 'k' })).toMatchObject({ jobId: first.jobId, created: false })
  })

  test('a schedule whose jobs do not fit is refused', async () => {
    const { mr } = await setUp()
    const error = await refusalOf(mr.schedules.create({ name: 'nightly', cron: '0 3 * * *', queue: 'orders', payload: {} }))
    expect(error.fields).toMatchObject([{ path: 'schedule.payload.customer' }])
    await mr.schedules.create({ name: 'nightly', cron: '0 3 * * *', queue: 'orders', payload: { customer: { id: 1 } } })
    await mr.schedules.trigger('nightly')
    const [job] = await mr.queue('orders').receive()
    expect(job).toMatchObject({ payload: { customer: { id: 1 } }, schema: { name: 'order', version: 1 } })
  })
})

describe('versions', () => {
  test('one that breaks the rule is refused with what breaks it; another rule lets it in', async () => {
    const { mr } = await setUp()
    const changed = { ...order, properties: { ...order.properties, total: { type: 'string' } } }
    const error = await refusalOf(mr.schemas.register('order', changed))
    expect(error.fields).toEqual([
      { path: 'definition.properties.total.type', message: 'is number in version 1 and string in this one (not backward compatible)' },
    ])
    expect(await mr.schemas.register('order', changed, { compatibility: 'none' })).toEqual({ version: 2, created: true })
    expect(await mr.schemas.register('order', changed, { compatibility: 'forward' })).toEqual({ version: 2, created: false })
    const closed = { ...changed, additionalProperties: false }
    expect(await mr.schemas.register('order', closed)).toEqual({ version: 3, created: true })
    expect((await mr.schemas.versions('order')).map(({ compatibility }) => compatibility)).toEqual(['backward', 'forward', 'forward'])
  })

  test('of registrations at the same moment each has a number of its own', async () => {
    const mr = fixture.client()
    const all = await Promise.all(Array.from({ length: 5 }, (_, i) => mr.schemas.register('s', { title: `${i}` })))
    expect(all.map(({ version }) => version).sort()).toEqual([1, 2, 3, 4, 5])
  })

  test('one that is attached stays whatever comes later', async () => {
    const { mr, stream } = await setUp()
    await mr.schemas.attach('order', { stream: 'orders', version: 1 })
    await mr.schemas.register('order', { ...order, required: [] }, { compatibility: 'none' })
    await refusalOf(stream.write([{ payload: bad({}) }]))
    await mr.schemas.attach('order', { stream: 'orders' })
    await stream.write([{ payload: bad({}) }])
  })

  test('what is not a schema is refused with the paths', async () => {
    const { mr } = await setUp()
    const error = await refusalOf(
      mr.schemas.register('s', { properties: { a: { $ref: 'https://example.com/' }, b: { pattern: '(?!x)' } } }),
    )
    expect(error.fields.map(({ path }) => path)).toEqual(['definition.properties.a.$ref', 'definition.properties.b.pattern'])
    await expect(mr.schemas.attach('none', { stream: 'orders' })).rejects.toThrow(NotFoundError)
    await expect(mr.schemas.attach('order', { stream: 'orders', version: 9 })).rejects.toThrow(NotFoundError)
    await refusalOf(mr.schemas.attach('order', {} as { stream: string }))
    await refusalOf(mr.schemas.attach('order', { stream: 'a', queue: 'b' } as unknown as { stream: string }))
  })

  test('a schema is deleted when nothing has it any more', async () => {
    const { mr } = await setUp()
    await expect(mr.schemas.delete('order')).rejects.toThrow(ConflictError)
    for (const target of [{ stream: 'orders' }, { queue: 'orders' }]) await mr.schemas.detach(target)
    expect([await mr.schemas.delete('order'), await mr.schemas.delete('order')]).toEqual([true, false])
    expect(await mr.schemas.get('order')).toBeUndefined()
  })
})

test('over plain HTTP, definitions and refusals are JSON', async () => {
  const { http, key } = fixture.server
  const headers = { authorization: `Bearer ${key}`, 'millrace-namespace': freshName(), 'content-type': 'application/json' }
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`http://${http}${path}`, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
    return { status: response.status, body: JSON.parse((await response.text()) || '{}') as Record<string, unknown> }
  }
  expect(await call('POST', '/v1/schemas/order/versions', { definition: order })).toMatchObject({ body: { version: 1, created: true } })
  expect(await call('GET', '/v1/schemas/order')).toMatchObject({ body: { schema: { version: 1, definition: order } } })
  await call('POST', '/v1/schemas/order:attach', { stream: 'orders' })
  const refused = await call('POST', '/v1/streams/orders/messages', { messages: [{ payload: { customer: 1 } }] })
  expect(refused).toMatchObject({ status: 400, body: { fields: [{ path: 'messages[0].payload.customer' }] } })
  // The same stream as a durable stream.
  await call('PUT', '/v1/durable-streams/orders')
  const appended = await call('POST', '/v1/durable-streams/orders', [{ customer: { id: 1 } }, { customer: {} }])
  expect(appended).toMatchObject({ status: 400, body: { fields: [{ path: 'messages[1].payload.customer.id' }] } })
  await fetch(`http://${http}/v1/durable-streams/orders`, { method: 'POST', headers, body: JSON.stringify([{ customer: { id: 1 } }]) })
  const { body } = await call('GET', '/v1/streams/orders/partitions/0/messages')
  expect(body).toMatchObject({ messages: [{ payload: { customer: { id: 1 } }, schema: { name: 'order', version: 1 } }] })
})
