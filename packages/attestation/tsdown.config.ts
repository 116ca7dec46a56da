import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: ['src/index.ts'],
  dts: true,
  target: 'node20',
  platform: 'node',
  fixedExtension: false,
})
