import type * as wire from '@millrace/protocol'
import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { toFilter } from '../tables/convert.ts'
import type { RowFilter } from '../tables/types.ts'
import { toInt, toText } from '../wire.ts'
import { fromCollection, fromItem, fromMatch, toCreate, toItem, toVector } from './convert.ts'
import type {
  CreateVectorsOptions,
  HybridSearch,
  NewVector,
  StoredVector,
  VectorCollectionInfo,
  VectorMatch,
  VectorSearch,
  VectorSearchOptions,
} from './types.ts'

/** About how many bytes of items travel in one request. */
const requestBytes = 8 << 20

/**
 * A collection of vectors with texts and metadata. It is a table in the namespace's Postgres: what is in it can be read with SQL, too.
 *
 * @typeParam M - what its metadata are.
 */
export class Vectors<M extends object = Record<string, unknown>> {
  readonly #context: ClientContext
  /** Its name. */
  readonly name: string

  /** @internal Use `mr.vectors(name)`. */
  constructor(context: ClientContext, name: string) {
    this.#context = context
    this.name = toText('name', name)
  }

  /**
   * Makes the collection; does nothing when it is there with these settings.
   *
   * @throws ConflictError when it is there with others, ValidationError.
   */
  async create(options: CreateVectorsOptions, call?: CallOptions): Promise<VectorCollectionInfo> {
    const { collection } = await this.#context.safe('VectorService/CreateVectorCollection', toCreate(this.name, options), call)
    return fromCollection(collection!)
  }

  /** The collection's settings. @throws NotFoundError when it is not there. */
  async info(call?: CallOptions): Promise<VectorCollectionInfo> {
    const { collection } = await this.#context.safe('VectorService/GetVectorCollection', { name: this.name }, call)
    return fromCollection(collection!)
  }

  /** Deletes the collection with all that is in it. Returns whether it was there. */
  async drop(call?: CallOptions): Promise<boolean> {
    return (await this.#context.safe('VectorService/DeleteVectorCollection', { name: this.name }, call)).deleted
  }

  /**
   * Puts items into the collection; one whose id is there is replaced. Up to about 8 MiB are one transaction; more travel
   * in several, one after the other, so that some may be there when a later one fails. Doing it again with the same ids is safe.
   *
   * @param items - one, or at most 10,000 with different ids.
   * @returns the ids, in the order of the items.
   * @throws ValidationError naming the item: a wrong dimension, a number that is not finite.
   */
  async upsert(items: NewVector<M> | readonly NewVector<M>[], call?: CallOptions): Promise<string[]> {
    const list = Array.isArray(items) ? (items as readonly NewVector<M>[]) : [items as NewVector<M>]
    if (list.length > 10_000) throw invalid('items', `${list.length} are more than 10000.`)
    const ids: string[] = []
    for (let i = 0; i < list.length; ) {
      const batch: wire.VectorItem[] = []
      for (let bytes = 0; i < list.length && bytes < requestBytes; i++) {
        const item = toItem(`items[${i}]`, list[i]!)
        batch.push(item)
        bytes += item.vector!.packed.length + item.metadata.length + item.text.length
      }
      // Items whose ids the server makes would be there twice.
      const isSafe = batch.every(({ id }) => id !== '')
      ids.push(...(await this.#context.safe('VectorService/UpsertVectors', { name: this.name, items: batch }, call, isSafe)).ids)
    }
    return ids
  }

  /** An item with its vector; undefined when it is not there. */
  async get(id: string, call?: CallOptions): Promise<StoredVector<M> | undefined> {
    return (await this.getMany([id], call)).get(id)
  }

  /** Items that are there, with their vectors, by id. At most 1,000. */
  async getMany(ids: readonly string[], call?: CallOptions): Promise<Map<string, StoredVector<M>>> {
    const request = { name: this.name, ids: toIds(ids) }
    const { items } = await this.#context.safe('VectorService/GetVectors', request, call)
    return new Map(items.map((item) => [item.id, fromItem<M>(item)]))
  }

  /** Deletes items by id, one or at most 10,000. Returns how many were there. */
  async delete(ids: string | readonly string[], call?: CallOptions): Promise<number> {
    const request = { name: this.name, ids: toIds(typeof ids === 'string' ? [ids] : ids), filter: undefined }
    return (await this.#context.safe('VectorService/DeleteVectors', request, call)).deleted
  }

  /** Deletes the items whose metadata fit. Returns how many there were. */
  async deleteWhere(where: RowFilter<M>, call?: CallOptions): Promise<number> {
    const request = { name: this.name, ids: [], filter: toFilter(where) }
    return (await this.#context.safe('VectorService/DeleteVectors', request, call)).deleted
  }

  /** How many items there are, or how many fit. */
  async count(where?: RowFilter<M>, call?: CallOptions): Promise<number> {
    const request = { name: this.name, filter: toFilter(where) }
    return (await this.#context.safe('VectorService/CountVectors', request, call)).count
  }

  /**
   * Finds the items nearest to a vector, nearest first.
   *
   * @throws ValidationError when the vector has another dimension than the collection, NotFoundError.
   */
  async search(search: VectorSearch<M>): Promise<VectorMatch<M>[]> {
    const { vector, threshold } = search
    const request = { ...this.#common(search), vector: toVector('vector', vector), threshold }
    const { matches } = await this.#context.safe('VectorService/SearchVectors', request, search)
    return matches.map(fromMatch<M>)
  }

  /** Finds items by their text and by a vector together, best first. @throws as `search`. */
  async hybridSearch(search: HybridSearch<M>): Promise<VectorMatch<M>[]> {
    const { text, vector, textWeight, vectorWeight, fusion = 'weights' } = search
    const by = ['weights', 'rrf'].indexOf(fusion) + 1
    if (by === 0) throw invalid('fusion', `'${String(fusion)}' is neither weights nor rrf.`)
    const request = {
      ...this.#common(search),
      text: toText('text', text),
      vector: toVector('vector', vector),
      textWeight,
      vectorWeight,
      fusion: by as wire.VectorFusion,
    }
    const { matches } = await this.#context.safe('VectorService/HybridSearchVectors', request, search)
    return matches.map(fromMatch<M>)
  }

  #common({ limit, where, candidates, withVectors = false }: VectorSearchOptions<M>) {
    return {
      name: this.name,
      limit: toInt('limit', limit),
      filter: toFilter(where),
      candidates: toInt('candidates', candidates),
      withVectors,
    }
  }
}

function toIds(ids: readonly string[]): string[] {
  if (!Array.isArray(ids)) throw invalid('ids', 'is not an array.')
  return ids.map((id, i) => toText(`ids[${i}]`, id))
}
