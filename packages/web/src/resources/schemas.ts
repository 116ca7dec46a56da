import { Schemas } from '@millrace/core/adapter'
import {
  attachSchema,
  deleteSchema,
  detachSchema,
  getSchema,
  listSchemaAttachments,
  listSchemas,
  listSchemaVersions,
  registerSchema,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.schemas`: JSON Schemas of streams and queues. */
export const schemas: Resource<Schemas> = {
  routes: [attachSchema, deleteSchema, detachSchema, getSchema, listSchemaAttachments, listSchemas, listSchemaVersions, registerSchema],
  create: (context) => new Schemas(context),
}
