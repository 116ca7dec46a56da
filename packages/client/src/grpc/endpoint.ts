import { invalid } from '@millrace/core/adapter'

/** Where a server is and whether TLS protects the way. */
export interface Endpoint {
  /** `host:port`, as gRPC takes it. */
  readonly target: string
  readonly tls: boolean
}

const defaultPort = 50051
const defaultTlsPort = 443

/**
 * Reads one endpoint, or several with commas between them. One that is given twice counts once.
 *
 * @throws ValidationError when one is none.
 */
export function parseEndpoints(endpoints: string): readonly Endpoint[] {
  const all = endpoints.split(',').map((endpoint) => parseEndpoint(endpoint.trim()))
  return [...new Map(all.map((endpoint) => [endpoint.target, endpoint])).values()]
}

/**
 * Reads an endpoint: `host`, `host:port`, `[v6]:port`, or `http://` or `https://` before one of them.
 *
 * @throws ValidationError when it is none of these.
 */
export function parseEndpoint(endpoint: string): Endpoint {
  const match = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/?#@\s[\]]+)(?::(\d{1,5}))?\/?$/.exec(endpoint)
  const port = match?.[3]
  if (!match || Number(port ?? 1) > 65_535) {
    throw invalid('endpoint', `'${endpoint}' is not 'host:port' or 'https://host'. For gRPC give for example 'localhost:${defaultPort}'.`)
  }
  const tls = match[1] === 'https'
  return { target: `${match[2]}:${port ?? (tls ? defaultTlsPort : defaultPort)}`, tls }
}
