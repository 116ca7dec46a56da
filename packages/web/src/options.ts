import type { MillraceOptions } from '@millrace/core'
import { type CompiledOptions, compileOptions, type Environment, invalid } from '@millrace/core/adapter'

/** Where a server on the same machine serves HTTP. */
const localEndpoint = 'http://localhost:50080'

/**
 * Fills in defaults and checks options. Without an endpoint it is the page's own origin, and outside of pages a server on the
 * same machine.
 *
 * @throws ValidationError naming the option that is wrong.
 */
export function compileWebOptions(options: MillraceOptions): CompiledOptions {
  const env = environment()
  const { location } = globalThis as { readonly location?: { readonly origin: string } }
  const endpoint = [options.endpoint ?? env.MILLRACE_ENDPOINT ?? (/^http/.test(location?.origin ?? '') ? location!.origin : localEndpoint)]
    .flat()
    .map((one) => {
      if (!/^(https?:\/\/[^/]|\/(?!\/))[^?#,\s]*$/.test(one)) {
        throw invalid('endpoint', `'${one}' is not 'http(s)://host' or a path on the page's own host, such as '/millrace'.`)
      }
      return one.replace(/\/+$/, '')
    })
  return compileOptions({ ...options, endpoint }, env)
}

/** The environment variables, where there are such. Deno asks its user first. */
function environment(): Environment {
  try {
    const { process } = globalThis as { readonly process?: { readonly env?: Environment } }
    const { MILLRACE_ENDPOINT, MILLRACE_API_KEY, MILLRACE_NAMESPACE, MILLRACE_LOG } = process?.env ?? {}
    return { MILLRACE_ENDPOINT, MILLRACE_API_KEY, MILLRACE_NAMESPACE, MILLRACE_LOG }
  } catch {
    return {}
  }
}
