// Loaded before a server (`node --import`): its clock is TEST_CLOCK_SKEW_MS ahead of the machine's, or behind.
const skewMs = Number(process.env.TEST_CLOCK_SKEW_MS ?? 0)
const real = Date

class SkewedDate extends real {
  constructor(...given: readonly unknown[]) {
    if (given.length === 0) super(real.now() + skewMs)
    else super(...(given as [number]))
  }

  static override now(): number {
    return real.now() + skewMs
  }
}

globalThis.Date = SkewedDate as DateConstructor
