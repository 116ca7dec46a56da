import { Tables } from '@millrace/core/adapter'
import { applyMigrations, callFunction, describeTables, runSql } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.tables`: functions, SQL, migrations and what tables there are. */
export const tables: Resource<Tables> = {
  routes: [applyMigrations, callFunction, describeTables, runSql],
  create: (context) => new Tables(context),
}
