import { describe, expect, it } from 'vitest'
import { parseOptions, phaseNames } from './options.ts'

describe('parseOptions', () => {
  it('measures everything, five rounds, unless told otherwise', () => {
    expect(parseOptions([])).toMatchObject({ store: 'sqlite', phases: phaseNames.sqlite, rounds: 5, alone: false, cpuProf: false })
    expect(parseOptions(['--quick', '--only', 'process', '--only', 'claim'])).toMatchObject({ phases: ['process', 'claim'], rounds: 1 })
  })

  it('profiles one phase, once, of Millrace alone', () => {
    expect(parseOptions(['--cpu-prof', '--only', 'process', '--rounds', '7'])).toMatchObject({ rounds: 1, alone: true, cpuProf: true })
    expect(() => parseOptions(['--cpu-prof'])).toThrow('--cpu-prof profiles one phase')
    expect(() => parseOptions(['--cpu-prof', '--only', 'start'])).toThrow('--cpu-prof profiles one phase')
  })

  it('measures other things over Postgres', () => {
    expect(parseOptions(['--store', 'postgres'])).toMatchObject({ store: 'postgres', phases: phaseNames.postgres })
    expect(() => parseOptions(['--store', 'postgres', '--only', 'start'])).toThrow('--only start: there is no such measurement')
  })

  it('says which option is wrong', () => {
    expect(() => parseOptions(['--only', 'lunch'])).toThrow('--only lunch: there is no such measurement')
    expect(() => parseOptions(['--store', 'redis'])).toThrow('--store redis: must be sqlite or postgres')
    expect(() => parseOptions(['--rounds', '0'])).toThrow('--rounds 0: must be a whole number from 1 to 100')
    expect(() => parseOptions(['--fast'])).toThrow("'--fast'")
  })
})
