import { flagOf, type Setting, type SettingName, settings, variableOf } from '../config/settings.ts'
import type { Option } from './command.ts'

/** The flag of a setting. */
export function settingOption(name: SettingName): Option {
  const { placeholder, help, default: fallback }: Setting = settings[name]
  return {
    name: flagOf(name).slice(2),
    placeholder,
    help,
    default: placeholder && fallback !== undefined ? String(fallback) : undefined,
    variable: variableOf(name),
  }
}

/** The flag of the file of settings. */
export const configOption: Option = {
  name: 'config',
  placeholder: 'FILE',
  help: 'File of settings. Default: millrace.config.json, .mjs, .js or .ts in the working directory, when there is one.',
  variable: 'MILLRACE_CONFIG',
}

/** The flags of commands that work on a store without a server. */
export const storeOptions: readonly Option[] = [settingOption('store'), settingOption('data'), configOption]
