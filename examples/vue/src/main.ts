import '@millrace/example-web/style.css'
import { createMillrace } from '@millrace/vue'
import { createApp } from 'vue'
import App from './app.vue'

/** Your backend knows who is logged in and makes a token for the page; a key does not belong here. */
async function getToken(): Promise<string> {
  const response = await fetch('/token', { method: 'POST' })
  if (!response.ok) throw new Error(`${response.status} from /token`)
  return response.text()
}

createApp(App)
  .use(createMillrace({ token: getToken }))
  .mount('#app')
