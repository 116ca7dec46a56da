import { createHash } from 'node:crypto'

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7d6c; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
code, pre, textarea, input { font: 13px/1.5 ui-monospace, monospace; }
input, textarea { width: 100%; box-sizing: border-box; padding: .3rem .5rem; border: 1px solid var(--line); border-radius: 4px; background: transparent; color: inherit; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .3rem 0; }
summary { cursor: pointer; padding: .4rem .6rem; display: flex; gap: .6rem; align-items: baseline; }
summary b { min-width: 4rem; color: light-dark(#0a7d6c, #45bfab); } summary span { margin-left: auto; opacity: .7; text-align: right; }
code { overflow-wrap: anywhere; }
details > div { padding: 0 .8rem .8rem; }
label { display: grid; grid-template-columns: 12rem 1fr; gap: .6rem; align-items: center; margin: .3rem 0; }
label small { grid-column: 2; opacity: .7; }
pre { background: var(--soft); padding: .6rem; border-radius: 4px; overflow: auto; max-height: 24rem; white-space: pre-wrap; }
button { padding: .3rem .9rem; border: 0; border-radius: 4px; background: var(--accent); color: #fff; cursor: pointer; }
body > form { display: grid; grid-template-columns: 1fr 12rem; gap: .6rem; margin-bottom: 1rem; }
@media (max-width: 40rem) {
  summary { flex-wrap: wrap; } summary b { min-width: auto; } summary span { margin-left: 0; flex-basis: 100%; text-align: left; }
  label { grid-template-columns: minmax(0, 1fr); gap: .1rem; } label small { grid-column: 1; }
}
`

const script = `
const el = (tag, props = {}, ...children) => { const node = Object.assign(document.createElement(tag), props); node.append(...children); return node }
const api = await (await fetch('openapi.json')).json()
const key = document.querySelector('#key'), namespace = document.querySelector('#namespace'), main = document.querySelector('main')
key.value = sessionStorage.getItem('millrace-key') ?? ''
key.oninput = () => sessionStorage.setItem('millrace-key', key.value)
const resolve = (node) => node?.$ref ? node.$ref.split('/').slice(1).reduce((at, part) => at[part], api) : node

// What stands between backticks is code.
const prose = (text = '') => text.split('\`').map((part, index) => (index % 2 ? el('code', { textContent: part }) : part))

// An example of what a schema describes, not deeper than people read. What has fields of its own may be left out, and is null:
// the fields would have to be right all together.
const example = (schema, depth = 0) => {
  const { type, properties, items, enum: names, format } = resolve(schema) ?? {}
  if (names) return names.find((name) => name !== 'unspecified')
  if (type === 'object') return depth > 3 ? {} : Object.fromEntries(Object.entries(properties ?? {}).map(([name, inner]) => [name, resolve(inner)?.properties ? null : example(inner, depth + 1)]))
  if (type === 'array') return depth > 3 ? [] : [example(items, depth + 1)]
  if (type === 'string') return format === 'date-time' ? null : ''
  return type === 'boolean' ? false : type ? 0 : null
}

const show = (path, verb, operation) => {
  const inputs = []
  const form = el('form')
  for (const parameter of operation.parameters.map(resolve).filter((one) => one.in !== 'header')) {
    const input = el('input', { required: parameter.required === true, placeholder: parameter.style === 'deepObject' ? 'name=value, name=value' : '' })
    inputs.push([parameter, input])
    form.append(el('label', {}, el('code', { textContent: parameter.name }), input, el('small', {}, ...prose(parameter.description))))
  }
  const schema = operation.requestBody?.content['application/json'].schema
  const body = schema && el('textarea', { rows: 8, value: JSON.stringify(example(schema), null, 2) })
  const answer = el('pre', { hidden: true })
  let stop
  form.append(...(body ? [body] : []), el('p', {}, el('button', { textContent: 'Send' })), answer)
  form.onsubmit = async (event) => {
    event.preventDefault()
    stop?.abort()
    stop = new AbortController()
    let url = path.replace(/\\{(\\w+)\\}/g, (_, name) => encodeURIComponent(inputs.find(([one]) => one.name === name)[1].value) || '-')
    const query = inputs.filter(([one, input]) => one.in === 'query' && input.value).flatMap(([one, input]) =>
      one.style === 'deepObject' ? input.value.split(/ *, */).map((pair) => [one.name + '[' + pair.split('=')[0] + ']', pair.slice(pair.indexOf('=') + 1)])
        : one.schema.type === 'array' ? input.value.split(/ *, */).map((value) => [one.name, value]) : [[one.name, input.value]])
    if (query.length) url += '?' + new URLSearchParams(query)
    const headers = { ...(key.value && { authorization: 'Bearer ' + key.value }), ...(namespace.value && { 'millrace-namespace': namespace.value }), ...(body && { 'content-type': 'application/json' }) }
    answer.hidden = false
    answer.textContent = verb.toUpperCase() + ' ' + url + '\\n'
    try {
      const response = await fetch(url.slice(1), { method: verb.toUpperCase(), headers, body: body?.value, signal: stop.signal })
      answer.textContent += response.status + ' ' + response.statusText + '\\n\\n'
      if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
        for await (const text of response.body.pipeThrough(new TextDecoderStream())) answer.textContent = (answer.textContent + text).slice(-50000)
      } else {
        const text = await response.text()
        answer.textContent += text && JSON.stringify(JSON.parse(text), null, 2)
      }
    } catch (error) { if (error.name !== 'AbortError') answer.textContent += error }
  }
  const line = el('summary', {}, el('b', { textContent: verb.toUpperCase() }), el('code', { textContent: path }), el('span', {}, ...prose(operation.summary)))
  return el('details', {}, line, el('div', {}, el('p', {}, ...prose(operation.description)), form))
}

main.textContent = ''
for (const { name, description } of api.tags) {
  main.append(el('h2', { textContent: name }), el('p', {}, ...prose(description)))
  for (const [path, verbs] of Object.entries(api.paths))
    for (const [verb, operation] of Object.entries(verbs)) if (operation.tags.includes(name)) main.append(show(path, verb, operation))
}
`

/** The page that shows the API and tries it. It loads `/openapi.json` and nothing from elsewhere. */
export const docsPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Millrace API</title>
<style>${style}</style>
<h1>Millrace API</h1>
<p>The description is <a href="openapi.json">openapi.json</a>. To try a call, give a key; it stays in this tab.</p>
<form><input id="key" type="password" placeholder="API key" autocomplete="off"><input id="namespace" placeholder="namespace: default"></form>
<main>Loading …</main>
<script type="module">${script}</script>
</html>
`

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** What the page may do: run its own script and talk to this server. */
export const docsPolicy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')
