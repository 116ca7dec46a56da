import { type AnyRow, Table, type TableOptions } from '@millrace/core/adapter'
import { countRows, deleteRows, insertRows, selectRows, updateRows, watchRowChanges, watchRows } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.table(name)`: one table. */
export const table: Resource<<T extends object = AnyRow>(name: string, options?: TableOptions) => Table<T>> = {
  routes: [countRows, deleteRows, insertRows, selectRows, updateRows, watchRowChanges, watchRows],
  create: (context) => (name, options) => new Table(context, name, options),
}
