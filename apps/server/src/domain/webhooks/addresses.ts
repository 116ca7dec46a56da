import { BlockList, isIP, isIPv4 } from 'node:net'

/** IPv4 that is not the public internet's: IANA's special-purpose registry, multicast, and what is reserved. */
const closed4 = `0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
  192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4`
/** Of IPv6 only global unicast is public; and of that not what is special, or leads to IPv4 by way of a tunnel. */
const open6 = '2000::/3'
const closed6 = '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20'

const listOf = (type: 'ipv4' | 'ipv6', subnets: string) => {
  const list = new BlockList()
  for (const subnet of subnets.split(/\s+/)) {
    const [address, bits] = subnet.split('/')
    list.addSubnet(address!, Number(bits), type)
  }
  return list
}
const lists = { closed4: listOf('ipv4', closed4), open6: listOf('ipv6', open6), closed6: listOf('ipv6', closed6) }

/** True for the text of an IP address of the public internet; mapped, embedded and scoped ones are not. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !lists.closed4.check(address, 'ipv4')
  return isIP(address) === 6 && !address.includes('%') && lists.open6.check(address, 'ipv6') && !lists.closed6.check(address, 'ipv6')
}
