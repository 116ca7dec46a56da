import type { ClientContext } from '../context.ts'
import type { CallOptions } from '../options.ts'
import { toText } from '../wire.ts'
import { fromRows, toJson } from './convert.ts'
import type { AnyRow } from './table.ts'
import type { MigrateResult, Migration, SqlResult, TableInfo, TableOptions } from './types.ts'

/** The tables of the namespace: functions, SQL, migrations and what there is. */
export class Tables {
  readonly #context: ClientContext

  /** @internal Use `mr.tables`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /**
   * Calls a function of the namespace's schema.
   *
   * @param name - its name.
   * @param args - its arguments by name.
   * @returns the rows it returned; of a function that returns one value, that value is in a column of the function's name.
   */
  async rpc<T = AnyRow>(
    name: string,
    args: Readonly<Record<string, unknown>> = {},
    options: TableOptions & CallOptions = {},
  ): Promise<T[]> {
    const request = {
      function: toText('name', name),
      arguments: toJson('args', args),
      contentType: '',
      asUser: toText('user', options.user),
    }
    return fromRows<T>((await this.#context.unsafe('TableService/CallFunction', request, options)).result)
  }

  /**
   * Carries out one SQL statement as the owner of the namespace's tables. Scope: `tables:sql`.
   *
   * @param text - the statement; values stand in it as `$1`, `$2`, ….
   * @param parameters - the values: they are bound, never made part of the text. Lists become arrays, objects JSON.
   */
  async sql<T = AnyRow>(text: string, parameters: readonly unknown[] = [], call?: CallOptions): Promise<SqlResult<T>> {
    const request = { text: toText('text', text), parameters: toJson('parameters', parameters), contentType: '' }
    const { result, affected, command } = await this.#context.unsafe('TableService/RunSql', request, call)
    return { rows: fromRows<T>(result), columns: result?.columns ?? [], affected, command }
  }

  /**
   * Carries out the migrations that were not carried out before, in order, each in a transaction. Scope: `tables:sql`.
   *
   * @throws ConflictError when one that was carried out has changed since.
   */
  async migrate(migrations: readonly Migration[], options: CallOptions & { readonly dryRun?: boolean } = {}): Promise<MigrateResult> {
    const list = migrations.map(({ name, sql }) => ({ name: toText('name', name), sql: toText('sql', sql) }))
    return this.#context.safe('TableService/ApplyMigrations', { migrations: list, dryRun: options.dryRun === true }, options)
  }

  /** The tables and views of the namespace, by name. */
  async list(call?: CallOptions): Promise<TableInfo[]> {
    return (await this.#context.safe('TableService/DescribeTables', { table: '' }, call)).tables as TableInfo[]
  }

  /** A table or view. @throws NotFoundError */
  async describe(name: string, call?: CallOptions): Promise<TableInfo> {
    return (await this.#context.safe('TableService/DescribeTables', { table: toText('name', name) }, call)).tables[0] as TableInfo
  }
}
