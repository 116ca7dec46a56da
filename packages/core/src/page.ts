/** One page of a list. Iterating it walks this page and all that follow. */
export interface Page<T> extends AsyncIterable<T> {
  /** What is on this page. It may be short, even empty, while there is a next page. */
  readonly items: readonly T[]
  /** Where the next page begins: `cursor` of another call. Undefined when this was the last. */
  readonly nextCursor: string | undefined
}

/** A list: awaited, it gives its first page; iterated, it walks everything. Nothing is called before one of the two. */
export interface List<T> extends PromiseLike<Page<T>>, AsyncIterable<T> {}

/** A page as a call answers it. */
export interface PageContent<T> {
  readonly items: readonly T[]
  readonly nextCursor: string
}

/**
 * Makes a list.
 *
 * @param fetch - gets the page that begins at a cursor; '' is the first.
 * @param cursor - where the list begins.
 */
export function createList<T>(fetch: (cursor: string) => Promise<PageContent<T>>, cursor = ''): List<T> {
  const load = async (from: string): Promise<Page<T>> => {
    const { items, nextCursor } = await fetch(from)
    return {
      items,
      nextCursor: nextCursor === '' ? undefined : nextCursor,
      async *[Symbol.asyncIterator]() {
        yield* items
        if (nextCursor !== '') yield* createList(fetch, nextCursor)
      },
    }
  }
  return {
    // biome-ignore lint/suspicious/noThenProperty: a list is awaited for its first page.
    then: (onPage, onError) => load(cursor).then(onPage, onError),
    async *[Symbol.asyncIterator]() {
      let next: string | undefined = cursor
      while (next !== undefined) {
        const page: Page<T> = await load(next)
        yield* page.items
        next = page.nextCursor
      }
    },
  }
}
