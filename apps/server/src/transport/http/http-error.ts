import type { ErrorDetails, ErrorReason } from '@millrace/protocol/errors'
import { MillraceError } from '../../errors.ts'

/** An error whose HTTP status is not the one of the error table, or that has headers of its own. */
export class HttpError extends MillraceError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    reason: ErrorReason,
    message: string,
    options: { readonly headers?: Readonly<Record<string, string>>; readonly details?: Pick<ErrorDetails, 'resource' | 'id'> } = {},
  ) {
    super(reason, message, options.details)
    this.status = status
    this.headers = options.headers ?? {}
  }
}
