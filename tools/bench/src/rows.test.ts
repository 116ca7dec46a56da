import { describe, expect, it } from 'vitest'
import { rowsOf } from './rows.ts'
import { Samples } from './samples.ts'
import { sizesFor } from './sizes.ts'
import { drawTable } from './table.ts'

const sizes = sizesFor({ store: 'sqlite', quick: false, long: false })

function samplesOf(millrace: number[], bullmq: number[], problems: string[] = []): Samples {
  const samples = new Samples()
  for (const value of millrace) samples.add('millrace', 'process', { figures: [{ name: 'process', value }], problems })
  for (const value of bullmq) samples.add('bullmq-always', 'process', { figures: [{ name: 'process', value }], problems: [] })
  return samples
}

describe('rowsOf', () => {
  it('compares medians and checks the goal', () => {
    const [row] = rowsOf(samplesOf([50_000, 10, 44_000], [11_000, 11_000]), sizes, 'sqlite')
    expect(row).toMatchObject({ name: 'process', goals: [{ limit: 40_000, met: true }], ratios: { 'bullmq-always': 4 } })
    expect(row!.cells.millrace).toMatchObject({ value: 44_000, void: false })
  })

  it('voids a figure whose jobs do not add up, whatever its value', () => {
    const [row] = rowsOf(samplesOf([90_000], [11_000], ['1 job is missing']), sizes, 'sqlite')
    expect(row).toMatchObject({ goals: [{ met: false }], ratios: {} })
    expect(drawTable([row!])).toContain('void')
  })

  it('counts fewer milliseconds as better', () => {
    const samples = new Samples()
    samples.add('millrace', 'latency', { figures: [{ name: 'latency-p50', value: 1 }], problems: [] })
    samples.add('bullmq-always', 'latency', { figures: [{ name: 'latency-p50', value: 2 }], problems: [] })
    expect(rowsOf(samples, sizes, 'sqlite')).toMatchObject([{ goals: [{ met: true }], ratios: { 'bullmq-always': 2 } }])
  })

  it('compares ratios with their goals', () => {
    const samples = new Samples()
    samples.add('millrace', 'process', { figures: [{ name: 'process', value: 40 }], problems: [] })
    samples.add('pg-boss', 'process', { figures: [{ name: 'process', value: 10 }], problems: [] })
    samples.add('graphile-worker', 'process', { figures: [{ name: 'process', value: 20 }], problems: [] })
    const goals = [
      { limit: 5, over: 'pg-boss', met: false },
      { limit: 2, over: 'graphile-worker', met: true },
    ]
    expect(rowsOf(samples, sizes, 'postgres')).toMatchObject([{ goals }])
  })

  it('says what a job costs all processes together', () => {
    const samples = new Samples()
    const window = {
      seconds: 1,
      serverCpu: 0.5,
      databaseCpu: 0.3,
      clientCpu: 0.2,
      otherCpu: 0,
      serverRss: 0,
      serverPeakRss: 0,
      clientRss: 0,
    }
    samples.add('millrace', 'process', { figures: [{ name: 'process', value: 50_000 }], window, problems: [] })
    samples.add('pg-boss', 'process', { figures: [{ name: 'process', value: 10_000 }], window, problems: [] })
    const row = rowsOf(samples, sizes, 'postgres').find(({ unit }) => unit === 'µs')
    expect(row).toMatchObject({ cells: { millrace: { value: 20 }, 'pg-boss': { value: 100 } }, ratios: { 'pg-boss': 5 } })
  })

  it('takes the ratio of a deep claim within each round', () => {
    const samples = new Samples()
    for (const noise of [1, 10, 1]) {
      const figures = [
        { name: 'claim-batch-1000', value: 2 * noise },
        { name: 'claim-batch-1000000', value: 3 * noise },
      ]
      samples.add('millrace', 'claim', { figures, problems: [] })
    }
    const ratio = rowsOf(samples, sizes, 'sqlite').find((row) => row.unit === 'ratio')
    expect(ratio).toMatchObject({ cells: { millrace: { value: 1.5 } }, goals: [{ limit: 1.5, met: true }] })
  })
})
