import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import { showTime } from '../values.ts'

/** `millrace account` */
export const account: Command = {
  name: 'account',
  summary: 'Show the limits of the key and its tenant.',
  options: clientOptions,
  examples: [{ line: 'millrace account', does: 'calls that are left, and how many queues there may be' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { quotas } = await server.account.getQuotas({})
    const rateLimit = await server.account.getRateLimit({})
    if (flags.json) output.json({ rateLimit, quotas })
    else {
      const { limit, remaining, resetAt } = rateLimit
      output.fields({
        'calls per second': limit > 0 ? limit : 'any number',
        'calls left': limit > 0 ? remaining : undefined,
        'all again': showTime(resetAt),
        ...Object.fromEntries(quotas.map((quota) => [quota.type.replace('_', ' '), `${quota.current} of ${quota.limit}`])),
      })
    }
    return 0
  },
}
