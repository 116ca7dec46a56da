import { chromiumVersion, whyMissing } from '@millrace/dev'

/** Why tests cannot run in a browser here; undefined when they can. */
export function whyNoBrowser(): string | undefined {
  return whyMissing(chromiumVersion)
}
