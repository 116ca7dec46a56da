import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import type { Server } from '../connect.ts'
import type { Output } from '../output.ts'

/** `millrace health` */
export const health: Command = {
  name: 'health',
  summary: 'Ask a server how it is.',
  description: 'Asks a server how it is. Exit code 0 when it can do its work, else 1. Without a key it says no more than that: for probes.',
  options: clientOptions,
  examples: [{ line: 'millrace health --endpoint localhost:50051', does: 'for people and for scripts' }],
  async run({ flags, env, output }) {
    const { connectAnyway, keyOf } = await import('../connect.ts')
    using server = connectAnyway({ flags, env })
    if (!keyOf({ flags, env })) return await probe(server, output, flags.json === true)
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

/** `SERVING` of the standard health service. */
const serving = 1

async function probe(server: Server, output: Output, json: boolean): Promise<number> {
  const healthy = (await server.probe.check({ service: '' })).status === serving
  if (json) output.json({ healthy })
  else output.fields({ status: healthy ? { text: 'healthy', style: 'green' } : { text: 'unhealthy', style: 'red' } })
  return healthy ? 0 : 1
}
