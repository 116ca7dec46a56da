import { type Setting, type SettingName, settings, variableOf } from '../../config/settings.ts'
import { holdHeap } from '../../heap.ts'
import type { Command, Option } from '../command.ts'
import { configOption, settingOption } from '../setting-options.ts'

const options: Option[] = Object.entries<Setting>(settings)
  .filter(([, setting]) => !setting.secret)
  .map(([name]) => settingOption(name as SettingName))

const secrets = Object.entries<Setting>(settings)
  .filter(([, setting]) => setting.secret)
  .map(([name, { help }]) => `${variableOf(name)}: ${help}`)

/** `millrace serve` */
export const serve: Command = {
  name: 'serve',
  summary: 'Start a server.',
  description: `Starts a server and serves until SIGTERM or Ctrl+C; a second signal ends it at once. A setting comes from its flag, else from its environment variable, else from the file of settings (by the flag's name in camelCase), else it has its default. From the environment or the file alone: ${secrets.join(' ')}`,
  options: [...options, configOption],
  examples: [
    { line: 'millrace serve --dev', does: 'a server for development, with a ready key' },
    {
      line: 'MILLRACE_ROOT_KEY=$(openssl rand -base64 36) millrace serve --data /var/lib/millrace --grpc 0.0.0.0:50051',
      does: 'a server for others',
    },
    { line: 'millrace serve --tls-cert server.pem --tls-key server.key', does: 'with TLS' },
    { line: 'millrace serve --dev --json --grpc 127.0.0.1:0', does: 'for scripts: a free port, and one line of JSON when it is ready' },
  ],
  async run({ flags, env, output }) {
    const onStarted = holdHeap()
    const { serveUntilStopped } = await import('../../main.ts')
    const { logVerbosity, setLogVerbosity } = await import('@grpc/grpc-js')
    // What grpc-js writes to the terminal by itself is said by the server's own error or log line, in better words.
    if (!env.GRPC_VERBOSITY) setLogVerbosity(logVerbosity.NONE)
    const { config, ...rest } = flags as Record<string, string | true>
    const named = Object.entries(rest).map(([flag, value]) => [flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()), value])
    return serveUntilStopped({ flags: Object.fromEntries(named), file: config === true ? undefined : config, env, output, onStarted })
  },
}
