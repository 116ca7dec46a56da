import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'

/** `millrace health` */
export const health: Command = {
  name: 'health',
  summary: 'Ask a server how it is.',
  description: 'Asks a server how it is. Exit code 0 when it can do its work, else 1.',
  options: clientOptions,
  examples: [{ line: 'millrace health --endpoint localhost:50051', does: 'for people and for scripts' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { healthy, version, nodes, queue, detail } = await server.cluster.getHealth({})
    if (flags.json) output.json({ healthy, version, nodes, queue, detail })
    else {
      output.fields({
        status: healthy ? { text: 'healthy', style: 'green' } : { text: 'unhealthy', style: 'red' },
        detail,
        version,
        nodes: `${nodes?.active} of ${nodes?.total}`,
        'jobs waiting': queue?.depth,
      })
    }
    return healthy ? 0 : 1
  },
}
