import { expect, it } from 'vitest'
import { flagOf, type Setting, settings, variableOf } from './settings.ts'

const intro = `# Configuration

A setting comes from its flag, else from its environment variable, else from the file \`millrace.config.json\`, \`.mjs\`, \`.js\`
or \`.ts\` in the working directory (\`--config FILE\` names another; keys as in the first column), else it has its default. A
wrong value ends the start with the name of the setting, where it came from, and what is allowed.

Times are milliseconds or text such as \`30s\`, \`5m\`, \`24h\`, \`14d\`; sizes are bytes or text such as \`64KiB\`, \`4MiB\`.

| setting | flag | variable | default | |
|---|---|---|---|---|
`

it('the page of settings says what the catalogue says (vitest -u rewrites it)', async () => {
  const rows = Object.entries<Setting>(settings).map(([name, { help, default: fallback, secret }]) => {
    const flag = secret ? 'none: secrets do not belong on a command line' : `\`${flagOf(name)}\``
    const shown = fallback === undefined ? 'unset' : `\`${fallback}\``
    return `| \`${name}\` | ${flag} | \`${variableOf(name)}\` | ${shown} | ${help} |\n`
  })
  await expect(intro + rows.join('')).toMatchFileSnapshot('../../../../docs/configuration.md')
})
