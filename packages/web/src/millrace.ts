import type { MillraceOptions } from '@millrace/core'
import { MillraceBase } from '@millrace/core/adapter'
import { createTransport } from './client.ts'
import { compileWebOptions } from './options.ts'
import * as resources from './resources/all.ts'

/**
 * A client of a Millrace server, over HTTP, for browsers, workers, edge functions and wherever else there is `fetch`. Cheap to
 * make: it connects when it is first used. Make one and keep it.
 *
 * @example
 * ```ts
 * const mr = new Millrace({ endpoint: 'https://jobs.example.com', token: getToken })
 * const task = await mr.tasks.submit({ function: 'greet', payload: { name: 'Ada' } })
 * for await (const { status, progress } of task.watch()) show(status, progress)
 * ```
 */
export class Millrace extends MillraceBase {
  /** @throws ValidationError naming the option that is wrong. */
  constructor(options: MillraceOptions = {}) {
    const compiled = compileWebOptions(options)
    super(createTransport(compiled, resources), compiled)
  }
}
