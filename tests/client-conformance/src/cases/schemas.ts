import { ValidationError } from '@millrace/core'
import { type Case, collect } from '../kit.ts'

const order = { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] }
const next = { ...order, properties: { ...order.properties, note: { type: 'string' } } }

/** The paths that a call is refused with. */
async function pathsOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    return error instanceof ValidationError ? error.fields.map(({ path }) => path) : String(error)
  }
}

export const schemaCases: readonly Case[] = [
  {
    name: 'schemas are registered in versions, attached, and refuse what does not fit',
    expected: {
      versions: [1, 2, 2],
      created: [true, true, false],
      incompatible: ['definition.required'],
      known: [1, 2],
      latest: next,
      none: true,
      listed: ['order'],
      attachments: [
        { stream: 'orders', schema: 'order' },
        { queue: 'orders', schema: 'order', version: 1 },
      ],
      message: ['messages[1].payload.id'],
      job: ['jobs[0].payload.id'],
      read: [{ payload: { id: 1 }, headers: { a: 'b' }, schema: { name: 'order', version: 2 } }],
      received: { name: 'order', version: 1 },
      kept: 'ConflictError',
      detached: [true, false],
      free: [{ id: 'x' }],
    },
    async run(kit) {
      const mr = kit.client()
      const registered = []
      for (const definition of [order, next, next]) registered.push(await mr.schemas.register('order', definition))
      const incompatible = await pathsOf(mr.schemas.register('order', { ...next, required: ['id', 'note'] }))
      await mr.schemas.attach('order', { stream: 'orders' })
      await mr.schemas.attach('order', { queue: 'orders', version: 1 })
      const stream = mr.stream('orders')
      const queue = mr.queue('orders')
      const message = await pathsOf(stream.write([{ payload: { id: 1 } }, { payload: { id: 'x' } }]))
      const job = await pathsOf(queue.enqueueBatch([{ payload: {} }]))
      await stream.write([{ payload: { id: 1 }, headers: { a: 'b' } }])
      await queue.enqueue({ id: 1 })
      const [taken] = await queue.receive()
      const attachments = (await mr.schemas.attachments()).map(({ attachedAt, ...rest }) => rest)
      const kept = await mr.schemas.delete('order').catch((error: Error) => error.name)
      const detached = [await mr.schemas.detach({ stream: 'orders' }), await mr.schemas.detach({ stream: 'orders' })]
      const read = (await stream.read()).map(({ payload, headers, schema }) => ({ payload, headers, schema }))
      await stream.write([{ payload: { id: 'x' } }])
      return {
        versions: registered.map(({ version }) => version),
        created: registered.map(({ created }) => created),
        incompatible,
        known: (await mr.schemas.versions('order')).map(({ version }) => version),
        latest: (await mr.schemas.get('order'))!.definition,
        none: (await mr.schemas.get('order', { version: 9 })) === undefined,
        listed: (await collect(mr.schemas.list())).map(({ name }) => name),
        attachments,
        message,
        job,
        read,
        received: taken!.schema,
        kept,
        detached,
        free: (await stream.read({ from: 1 })).map(({ payload }) => payload),
      }
    },
  },
]
