import type { MethodMap, RequestOf, ResponseOf } from '@millrace/core/adapter'
import {
  AccountServiceDefinition,
  ClusterServiceDefinition,
  DatabaseServiceDefinition,
  KeyServiceDefinition,
  KvServiceDefinition,
  ObjectServiceDefinition,
  PipelineServiceDefinition,
  QueueServiceDefinition,
  ScheduleServiceDefinition,
  SchemaServiceDefinition,
  StateServiceDefinition,
  StreamServiceDefinition,
  TableServiceDefinition,
  TaskServiceDefinition,
  TokenServiceDefinition,
  TransactionServiceDefinition,
  VectorServiceDefinition,
  WebhookServiceDefinition,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import { grpcDefinition } from '@millrace/protocol/grpc'

/** A method as grpc-js takes it. */
export interface GrpcMethod<Req, Res> {
  readonly path: string
  serialize(message: Req): Buffer
  deserialize(bytes: Buffer): Res
}

type GrpcMethods = { readonly [P in keyof MethodMap]: GrpcMethod<RequestOf<P>, ResponseOf<P>> }

interface DefinedMethod {
  readonly path: string
  requestSerialize(message: unknown): Uint8Array
  responseDeserialize(bytes: Uint8Array): unknown
}

/** Every method of the contract. */
export const grpcMethods = Object.fromEntries(
  [
    AccountServiceDefinition,
    ClusterServiceDefinition,
    DatabaseServiceDefinition,
    KeyServiceDefinition,
    PipelineServiceDefinition,
    QueueServiceDefinition,
    ScheduleServiceDefinition,
    SchemaServiceDefinition,
    StateServiceDefinition,
    TaskServiceDefinition,
    TokenServiceDefinition,
    TransactionServiceDefinition,
    KvServiceDefinition,
    ObjectServiceDefinition,
    StreamServiceDefinition,
    TableServiceDefinition,
    VectorServiceDefinition,
    WebhookServiceDefinition,
    WorkerServiceDefinition,
  ]
    .flatMap((service) => Object.values<DefinedMethod>(grpcDefinition(service)))
    .map(({ path, requestSerialize, responseDeserialize }) => [
      path.slice(path.lastIndexOf('.') + 1),
      {
        path,
        serialize: (message: unknown) => asBuffer(requestSerialize(message)),
        // Plain bytes, so that the parts of messages are plain bytes too.
        deserialize: (bytes: Buffer) => responseDeserialize(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
      },
    ]),
) as unknown as GrpcMethods

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
