import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'

/** `millrace services` */
export const services: Command = {
  name: 'services',
  summary: 'List what a server offers.',
  description: 'Lists the services that a server offers, and how each is. Exit code 0 when all can do their work, else 1.',
  options: clientOptions,
  examples: [{ line: 'millrace services --endpoint localhost:50051', does: 'what there is, and what is wrong' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { services } = await server.cluster.listServices({})
    if (flags.json) output.json({ services })
    else {
      const state = (healthy: boolean) => ({ text: healthy ? 'healthy' : 'unhealthy', style: healthy ? 'green' : 'red' }) as const
      output.table(
        ['service', 'state', 'detail'],
        services.map(({ name, healthy, detail }) => [name, state(healthy), detail]),
      )
    }
    return services.every(({ healthy }) => healthy) ? 0 : 1
  },
}
