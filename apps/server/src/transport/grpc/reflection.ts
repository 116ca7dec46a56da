import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** The services that reflection tells of, besides its own. */
export async function createReflection(services: readonly string[]) {
  const { ServerReflection, ServerReflectionService } = await import('nice-grpc-server-reflection')
  const descriptor = await readFile(fileURLToPath(import.meta.resolve('@millrace/protocol/descriptor.binpb')))
  return { definition: ServerReflectionService, implementation: ServerReflection(descriptor, services) }
}
