import type * as wire from '@millrace/protocol'
import { invalid } from '../errors/errors.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { toInt, toText } from '../wire.ts'
import type {
  CreateVectorsOptions,
  NewVector,
  StoredVector,
  VectorCollectionInfo,
  VectorMatch,
  VectorMetric,
  VectorValue,
} from './types.ts'

/** Metrics in the order of the protocol's `VectorMetric`, which begins with "unspecified". */
const metrics = ['cosine', 'l2', 'innerProduct'] as const

/** True where the machine's numbers lie in memory as they travel: on all that matter today. */
const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

/** A vector as it travels. */
export function toVector(path: string, value: VectorValue): wire.Vector {
  if (!(value instanceof Float32Array || Array.isArray(value))) throw invalid(path, 'is neither an array of numbers nor a Float32Array.')
  const numbers = new Float32Array(value.length)
  for (let i = 0; i < value.length; i++) {
    const number = value[i] as number
    numbers[i] = typeof number === 'number' ? number : Number.NaN
    // What 32 bits cannot hold becomes infinite.
    if (!Number.isFinite(numbers[i])) throw invalid(`${path}[${i}]`, `${String(number)} is not a finite number of 32 bits.`)
  }
  return { packed: bytesOf(numbers), values: [] }
}

function bytesOf(numbers: Float32Array): Uint8Array {
  if (isLittleEndian) return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
  const view = new DataView(new ArrayBuffer(numbers.length * 4))
  for (let i = 0; i < numbers.length; i++) view.setFloat32(i * 4, numbers[i]!, true)
  return new Uint8Array(view.buffer)
}

function fromVector({ packed, values }: wire.Vector): Float32Array {
  if (packed.length === 0) return Float32Array.from(values)
  const numbers = new Float32Array(packed.length >> 2)
  if (isLittleEndian) new Uint8Array(numbers.buffer).set(packed.subarray(0, numbers.byteLength))
  else {
    const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
    for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(i * 4, true)
  }
  return numbers
}

/** An item as it travels. */
export function toItem(path: string, { id, vector, text, metadata }: NewVector<object>): wire.VectorItem {
  return {
    id: toText(`${path}.id`, id),
    vector: toVector(`${path}.vector`, vector),
    text: toText(`${path}.text`, text),
    metadata: encodePayload(`${path}.metadata`, metadata).payload,
    contentType: '',
  }
}

/** An item as the server has it. */
export function fromItem<M extends object>({ id, vector, text, metadata }: wire.VectorItem): StoredVector<M> {
  return {
    id,
    ...(vector && { vector: fromVector(vector) }),
    ...(text && { text }),
    metadata: (decodePayload('metadata', metadata, '') ?? {}) as M,
  }
}

/** A match as the server has it. */
export function fromMatch<M extends object>({ item, score }: wire.VectorMatch): VectorMatch<M> {
  return { ...fromItem<M>(item!), score }
}

/** A collection's settings as they travel. */
export function toCreate(name: string, options: CreateVectorsOptions): wire.CreateVectorCollectionRequest {
  const { dimension, metric = 'cosine', index, language } = options
  const number = metrics.indexOf(metric) + 1
  if (number === 0) throw invalid('metric', `'${String(metric)}' is not one of ${metrics.join(', ')}.`)
  return {
    name,
    dimension: toInt('dimension', dimension),
    metric: number as wire.VectorMetric,
    index: index ? { m: toInt('index.m', index.m), efConstruction: toInt('index.efConstruction', index.efConstruction) } : undefined,
    withoutIndex: index === false,
    language: toText('language', language),
  }
}

/** A collection as the server has it. */
export function fromCollection(collection: wire.VectorCollection): VectorCollectionInfo {
  const { name, dimension, metric, index, language, createdAt } = collection
  return {
    name,
    dimension,
    metric: metrics[metric - 1] as VectorMetric,
    ...(index && { index: { m: index.m, efConstruction: index.efConstruction } }),
    language,
    createdAt: createdAt ?? new Date(0),
  }
}
