import { WebhookDeliveryState } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import { limitFlag, showTime, textFlag } from '../values.ts'

const name = { name: 'NAME', help: 'the name of a webhook' }
const limit = { name: 'limit', placeholder: 'N', help: 'Most lines shown.', default: '100' }
const states: Readonly<Record<number, string>> = {
  [WebhookDeliveryState.PENDING]: 'pending',
  [WebhookDeliveryState.DELIVERED]: 'delivered',
  [WebhookDeliveryState.FAILED]: 'failed',
}
const listOf = (text: string | undefined) => (text ?? '').split(',').filter((part) => part !== '')

const create: Command = {
  name: 'webhooks create',
  summary: 'Make a webhook and show its secret, this once.',
  args: [name, { name: 'URL', help: 'where events are posted to' }],
  options: [
    { name: 'events', placeholder: 'TYPE,…', help: 'Types of events, such as task.failed,job.dead. Default: all.' },
    { name: 'functions', placeholder: 'NAME,…', help: 'Only tasks of these functions.' },
    { name: 'queues', placeholder: 'NAME,…', help: 'Only tasks and jobs of these queues.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace webhooks create alerts https://example.com/hook --events task.failed,job.dead', does: 'tells of failures' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [events, functions, queues] = ['events', 'functions', 'queues'].map((flag) => listOf(textFlag(flags, flag)))
    using server = connect({ flags, env })
    const request = { name: words[0]!, url: words[1]!, events: events!, functions: functions!, queues: queues! }
    const { webhook, secret } = await server.webhooks.createWebhook(request)
    if (flags.json) output.json({ ...webhook, secret })
    else output.fields({ webhook: webhook!.name, secret })
    return 0
  },
}

const list: Command = {
  name: 'webhooks list',
  summary: 'List webhooks.',
  options: [limit, ...clientOptions],
  examples: [{ line: 'millrace webhooks list', does: 'where events are sent to' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { webhooks, nextCursor } = await server.webhooks.listWebhooks({ limit: limitFlag(flags, 100), cursor: '' })
    if (flags.json) for (const webhook of webhooks) output.json(webhook)
    else {
      const rows = webhooks.map((each) => [each.name, each.url, each.events.join(','), each.enabled ? 'on' : each.disabledReason])
      output.table(['webhook', 'url', 'events', 'state'], rows)
      if (nextCursor !== '') output.remark('There are more; a larger --limit shows them.')
    }
    return 0
  },
}

const remove: Command = {
  name: 'webhooks delete',
  summary: 'Delete a webhook with its deliveries.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace webhooks delete alerts', does: 'sends nothing more' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.webhooks.deleteWebhook({ name: words[0]! })
    if (flags.json) output.json({ name: words[0]!, deleted })
    else output.line(deleted ? `${words[0]!} deleted` : `there is no webhook ${words[0]!}`)
    return 0
  },
}

const deliveries: Command = {
  name: 'webhooks deliveries',
  summary: 'List what a webhook sent and is to send.',
  args: [name],
  options: [limit, ...clientOptions],
  examples: [{ line: 'millrace webhooks deliveries alerts --json', does: 'with the answers of the receiver' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const request = { name: words[0]!, limit: limitFlag(flags, 100), cursor: '' }
    const { deliveries, nextCursor } = await server.webhooks.listWebhookDeliveries(request)
    if (flags.json) for (const delivery of deliveries) output.json({ ...delivery, state: states[delivery.state] })
    else {
      const rows = deliveries.map((each) => [
        each.deliveryId,
        each.type,
        showTime(each.timestamp),
        states[each.state] ?? '',
        each.attempts,
        each.responseCode || '',
        each.error,
      ])
      output.table(['delivery', 'event', 'at', 'state', 'attempts', 'code', 'error'], rows)
      if (nextCursor !== '') output.remark('There are more; a larger --limit shows them.')
    }
    return 0
  },
}

const redeliver: Command = {
  name: 'webhooks redeliver',
  summary: 'Send a delivery again.',
  args: [name, { name: 'DELIVERY', help: 'the id of a delivery' }],
  options: clientOptions,
  examples: [{ line: 'millrace webhooks redeliver alerts msg_0001h2vk3pq_4', does: 'sends it now' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    await server.webhooks.redeliverWebhook({ name: words[0]!, deliveryId: words[1]! })
    if (flags.json) output.json({ name: words[0]!, deliveryId: words[1]! })
    else output.line(`${words[1]!} is sent again`)
    return 0
  },
}

const enable = switchCommand('enable', 'Switch a webhook on again; what was kept is sent.')
const disable = switchCommand('disable', 'Switch a webhook off: events are neither kept nor sent.')

function switchCommand(verb: 'enable' | 'disable', summary: string): Command {
  return {
    name: `webhooks ${verb}`,
    summary,
    args: [name],
    options: clientOptions,
    examples: [{ line: `millrace webhooks ${verb} alerts`, does: verb === 'enable' ? 'sends again' : 'sends nothing for now' }],
    async run({ flags, words, env, output }) {
      const { connect } = await import('../connect.ts')
      using server = connect({ flags, env })
      const { webhook } = await server.webhooks.updateWebhook({ name: words[0]!, enabled: verb === 'enable' })
      if (flags.json) output.json(webhook!)
      else output.line(`${words[0]!} is ${webhook!.enabled ? 'on' : 'off'}`)
      return 0
    },
  }
}

const rotate: Command = {
  name: 'webhooks rotate',
  summary: 'Give a webhook a new secret and show it, this once. The old one signs beside it for 24 hours.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace webhooks rotate alerts', does: 'shows the secret that receivers are to verify with' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { secret } = await server.webhooks.rotateWebhookSecret({ name: words[0]! })
    if (flags.json) output.json({ name: words[0]!, secret })
    else output.fields({ webhook: words[0]!, secret })
    return 0
  },
}

const test: Command = {
  name: 'webhooks test',
  summary: 'Send an event of type webhook.test.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace webhooks test alerts', does: 'shows the id of the delivery' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deliveryId } = await server.webhooks.testWebhook({ name: words[0]! })
    if (flags.json) output.json({ name: words[0]!, deliveryId })
    else output.line(`${deliveryId} is sent`)
    return 0
  },
}

/** `millrace webhooks …` */
export const webhooks: readonly Command[] = [create, list, enable, disable, rotate, test, remove, deliveries, redeliver]
