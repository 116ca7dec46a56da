import {
  type Vector,
  type VectorMatch,
  VectorMetric,
  type VectorCollection as WireCollection,
  type VectorItem as WireItem,
} from '@millrace/protocol'
import type { Collection, Item, Match, Metric } from '../domain/vectors/types.ts'
import type { Checks } from './checks.ts'

const metrics: Readonly<Record<Metric, VectorMetric>> = {
  cosine: VectorMetric.COSINE,
  l2: VectorMetric.L2,
  inner_product: VectorMetric.INNER_PRODUCT,
}

/** The metric of the protocol's number; unspecified means cosine. */
export function readMetric(checks: Checks, field: string, metric: VectorMetric): Metric {
  if (metric === VectorMetric.UNSPECIFIED) return 'cosine'
  const found = (Object.keys(metrics) as Metric[]).find((name) => metrics[name] === metric)
  if (!found) checks.fail(field, `${metric} is not a metric`)
  return found ?? 'cosine'
}

/** A vector, checked: as Postgres reads it, and how many numbers it has. */
export function readVector(
  checks: Checks,
  field: string,
  vector: Vector | undefined,
): { readonly text: string; readonly dimension: number } {
  const numbers = numbersOf(checks, field, vector)
  for (const [i, number] of numbers.entries()) {
    if (!Number.isFinite(number)) checks.fail(`${field}[${i}]`, `${number} is not a finite number`)
  }
  return { text: `[${numbers.join(',')}]`, dimension: numbers.length }
}

function numbersOf(checks: Checks, field: string, vector: Vector | undefined): Float32Array {
  const { packed = new Uint8Array(0), values = [] } = vector ?? {}
  if (packed.length === 0 && values.length === 0) checks.fail(field, 'is missing; give its numbers, packed or one by one')
  if (packed.length > 0 && values.length > 0) checks.fail(field, 'has packed and values; give one of them')
  if (packed.length % 4 !== 0) checks.fail(field, `has ${packed.length} packed bytes, which are no numbers of 4 bytes each`)
  if (packed.length === 0) return Float32Array.from(values)
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const numbers = new Float32Array(packed.length >> 2)
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(i * 4, true)
  return numbers
}

/** A vector as Postgres writes it, `[1,2.5]`, as it travels. */
function toVector(text: string): Vector {
  const numbers = text.slice(1, -1).split(',')
  const packed = Buffer.allocUnsafe(numbers.length * 4)
  for (const [i, number] of numbers.entries()) packed.writeFloatLE(Number(number), i * 4)
  return { packed, values: [] }
}

/** An item as it travels. */
export function toItem({ id, vector, text, metadata }: Item): WireItem {
  return { id, vector: vector === undefined ? undefined : toVector(vector), text, metadata: Buffer.from(metadata), contentType: '' }
}

/** A match as it travels. */
export function toMatch({ item, score }: Match): VectorMatch {
  return { item: toItem(item), score }
}

/** A collection as it travels. */
export function toCollection({ name, dimension, metric, index, language, createdAt }: Collection): WireCollection {
  return { name, dimension, metric: metrics[metric], index, language, createdAt: new Date(createdAt) }
}
