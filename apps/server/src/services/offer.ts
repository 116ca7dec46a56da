import { MillraceError } from '../errors.ts'
import { type ServiceName, serviceNameOf } from '../service-names.ts'

interface Named {
  readonly definition: { readonly name: string; readonly methods: object }
  readonly implementation: Readonly<Record<string, unknown>>
}

/**
 * The services as a server has them that offers some alone. The others stay known, so that who calls them hears where to go
 * instead of a path that is not there.
 */
export function offer<S extends Named>(services: readonly S[], names: readonly ServiceName[]): S[] {
  return services.map((service) => {
    const name = serviceNameOf(service.definition.name)
    if (name === undefined || names.includes(name)) return service
    const refuse = () => {
      throw new MillraceError(
        'NOT_FOUND',
        `This server offers ${names.join(', ')} alone. Ask another one for ${name}, or add it to this server's --services.`,
        { resource: 'service', id: name },
      )
    }
    return { ...service, implementation: Object.fromEntries(Object.keys(service.definition.methods).map((method) => [method, refuse])) }
  })
}
