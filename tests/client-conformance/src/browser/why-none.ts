import { chromiumVersion } from '@millrace/dev'

/** Why tests cannot run in a browser here; undefined when they can. */
export function whyNoBrowser(): string | undefined {
  try {
    chromiumVersion()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
