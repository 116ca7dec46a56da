import { MillraceError } from '../errors.ts'

/**
 * What became of each of a request's items, in order.
 *
 * @throws CONFLICT when there are more or fewer than items: the answer is that of another request, which had the same id.
 */
export function answersOf<T>(outcomes: readonly T[], items: number, requestId: string): readonly T[] {
  if (outcomes.length === items) return outcomes
  throw new MillraceError(
    'CONFLICT',
    `The request id '${requestId}' was that of a request with other items (${outcomes.length}, and here are ${items}): give each request an id of its own.`,
  )
}
