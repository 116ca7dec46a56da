import { compileErrors, validate } from '@readme/openapi-parser'
import { expect, it } from 'vitest'
import openapi from '../gen/openapi.json' with { type: 'json' }
import { httpBindings } from '../http.ts'

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters: readonly { readonly name?: string; readonly in?: string }[]
  readonly responses: Readonly<Record<string, { readonly content?: object }>>
}

const paths = openapi.paths as unknown as Readonly<Record<string, Readonly<Record<string, Operation>>>>

it('is valid OpenAPI 3.1', async () => {
  const result = await validate(structuredClone(openapi) as never)
  expect(result.valid ? '' : compileErrors(result)).toBe('')
})

it('describes every route, and nothing else', () => {
  const routes = httpBindings.map(([route, http = route[1]]) => http.split(' ').slice(0, 2).join(' '))
  const described = Object.entries(paths).flatMap(([path, verbs]) => Object.keys(verbs).map((verb) => `${verb.toUpperCase()} ${path}`))
  expect(described.sort()).toEqual(routes.sort())
})

it('says of each what it does, what is in its path, and what it answers', () => {
  for (const [path, verbs] of Object.entries(paths)) {
    for (const { operationId, summary, parameters, responses } of Object.values(verbs)) {
      expect(summary, operationId).toMatch(/^\w.{5,}/)
      const names = parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`)
      expect(names.sort(), operationId).toEqual([...path.matchAll(/\{\w+\}/g)].map(([name]) => name).sort())
      expect(Object.keys(responses[200]?.content ?? {}), operationId).toHaveLength(1)
    }
  }
})
