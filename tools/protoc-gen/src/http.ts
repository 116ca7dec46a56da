#!/usr/bin/env node
import { createEcmaScriptPlugin, runNodeJs } from '@bufbuild/protoplugin'
import { generateRoutes } from './generate.ts'

runNodeJs(createEcmaScriptPlugin({ name: 'protoc-gen-millrace_http', version: 'v1', generateTs: generateRoutes }))
