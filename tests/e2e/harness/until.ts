import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks again and again until the answer is truthy, and returns it. For what happens in another process and sends no
 * event; everything else is awaited.
 *
 * @param what - what is awaited, for the error.
 * @param ask - the question. A rejection counts as "not yet"; the last one is the cause of the error.
 * @param options - `within`: the deadline in milliseconds (20000); `every`: the pause between two questions (20).
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  { within = 20_000, every = 20 }: { readonly within?: number; readonly every?: number } = {},
): Promise<T> {
  const deadline = Date.now() + within
  let cause: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer) return answer
    } catch (error) {
      cause = error
    }
    if (Date.now() > deadline) throw new Error(`Waited ${within} ms in vain for: ${what}`, { cause })
    await sleep(every)
  }
}
