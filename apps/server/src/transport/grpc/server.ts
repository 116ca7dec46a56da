import { readFile } from 'node:fs/promises'
import { ServerCredentials } from '@grpc/grpc-js'
import { type GrpcDefinition, grpcDefinition } from '@millrace/protocol/grpc'
import { createServer, type ServiceImplementation } from 'nice-grpc'
import { HealthDefinition } from 'nice-grpc-server-health'
import type { Clock } from '../../clock.ts'
import type { Address } from '../../config/values.ts'
import type { Health } from '../../services/health.ts'
import { methodsOf, type Service } from '../service.ts'
import type { TlsFiles } from '../tls.ts'
import { watchConnections } from './connections.ts'
import { createHealthService } from './health.ts'
import { tolerant } from './malformed.ts'
import { type GuardedContext, type GuardOptions, guard } from './middleware/guard.ts'
import { channelOptions } from './options.ts'
import { createReflection } from './reflection.ts'
import { widenWindows } from './windows.ts'

/** What a gRPC server is made of. */
export interface GrpcServerOptions extends Omit<GuardOptions, 'scopes'> {
  readonly address: Address
  readonly tls?: TlsFiles
  readonly payloadLimit: number
  readonly services: readonly Service[]
  readonly health: Health
  readonly clock: Clock
}

/** A gRPC server that listens. */
export interface GrpcServer {
  /** The port it got. */
  readonly port: number
  /** Takes no more calls and resolves when those in flight are over, at the latest after `graceMs`; then it ends them. */
  stop(graceMs: number): Promise<void>
}

/**
 * Starts serving.
 *
 * @throws Error when the address cannot be listened on or a file of TLS cannot be read.
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { services, health, clock, address } = options
  const stopping = new AbortController()
  const server = createServer(channelOptions(options.payloadLimit))
  const names = services.map(({ definition }) => definition.fullName)

  const scopes = new Map(methodsOf(services).map(({ grpcPath, required }) => [grpcPath, required]))
  const guarded = guard({ ...options, scopes })
  for (const { definition, implementation } of services) {
    server.with(guarded).add(tolerant(grpcDefinition(definition)), withCall(implementation))
  }
  const reflection = await createReflection(names)
  server.with(guard({ ...options, scopes: new Map([[reflectionPath, 'any key']]) })).add(reflection.definition, reflection.implementation)
  server.add(grpcDefinition(HealthDefinition), createHealthService({ health, services: names, clock, stopping: stopping.signal }))

  const credentials = await readCredentials(options.tls)
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  const port = await server.listen(`${host}:${address.port}`, credentials)
  const narrow = widenWindows(port)
  const connections = watchConnections(port)

  return {
    port,
    async stop(graceMs) {
      stopping.abort()
      const cancel = clock.timer(graceMs, () => {
        server.forceShutdown()
        connections.destroyAll()
      })
      connections.destroyUnused()
      await server.shutdown()
      cancel()
      connections.forget()
      narrow()
    },
  }
}

const reflectionPath = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'

/** Gives services the call that the guard made, instead of nice-grpc's context. */
function withCall(implementation: Service['implementation']): ServiceImplementation<GrpcDefinition<Service['definition']>, GuardedContext> {
  const methods = Object.entries(implementation).map(([name, method]) => {
    return [name, (request: never, { call }: GuardedContext) => method(request, call)]
  })
  return Object.fromEntries(methods)
}

async function readCredentials(tls: TlsFiles | undefined): Promise<ServerCredentials> {
  if (!tls) return ServerCredentials.createInsecure()
  // One after the other, so that the error of a start always names the first file that is wrong.
  const cert = await readFile(tls.cert)
  const key = await readFile(tls.key)
  const clientCa = tls.clientCa ? await readFile(tls.clientCa) : null
  return ServerCredentials.createSsl(clientCa, [{ private_key: key, cert_chain: cert }], clientCa !== null)
}
