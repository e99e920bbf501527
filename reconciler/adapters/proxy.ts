// Proxies on the way to other hosts: which one the environment names, of which kinds they may be, and when it was the proxy that said no.
import { AdapterError } from '../model/failure.ts';

/** A proxy as the library takes it; throws AdapterError `rejected` for one that is not spoken. `named` is where it stands, for people to find it. */
export function spokenProxy(address: string, named: string): string {
  // To the library, names are always looked up by a SOCKS proxy: what others call socks5h.
  const proxy = address.replace(/^socks5h:/i, 'socks5:');
  if (URL.canParse(proxy) && /^(https?|socks5):\/\//i.test(proxy)) return proxy;
  const kind = /^[a-z][a-z0-9+.-]*(?=:\/\/)/i.exec(address)?.[0];
  throw new AdapterError(
    'rejected',
    'ProxyNotSpoken',
    `${named} ${kind === undefined ? 'is not the address of a proxy' : `names a proxy of the kind ${kind}`}: use http://host:port, https://host:port or socks5://host:port.`,
  );
}

/**
 * The proxies that the environment names, by the same rule as undici, and ALL_PROXY for what they do not name, as for curl and git; empty is none.
 * Throws AdapterError `rejected`.
 */
export function proxiesOfEnvironment(): { readonly httpProxy: string; readonly httpsProxy: string } {
  const { env } = process;
  const first = (...names: readonly string[]): string => {
    const name = names.find((one) => env[one] !== undefined);
    const address = name === undefined ? '' : (env[name] ?? '');
    return name === undefined || address === '' ? '' : spokenProxy(address, name);
  };
  const plain = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'];
  return { httpProxy: first(...plain), httpsProxy: first('https_proxy', 'HTTPS_PROXY', ...plain) };
}

/** The proxy that the environment names for this protocol; hosts of NO_PROXY do without it. */
export function proxyOfEnvironment(url: string): string | undefined {
  const { httpProxy, httpsProxy } = proxiesOfEnvironment();
  const named = url.startsWith('https:') ? httpsProxy : httpProxy;
  return named === '' ? undefined : named;
}

/** For the end of a message: that there is a proxy on the way; `shown` is its address without user and password. */
export function throughProxy(shown: string | undefined): string {
  return shown === undefined ? '' : ` The environment names a proxy: ${shown}.`;
}

/** What to tell people when the proxy of the environment refused; `where` is what was to be reached, `through` what `throughProxy` says. */
export function proxyMessage(refusal: ProxyRefusal, where: string, through: string): string {
  const begin = `The proxy on the way to ${where}`;
  return refusal.denied
    ? `${begin} refuses us (${refusal.said}).${through} Check the user and password in it, and whether it may connect there.`
    : `${begin} did not reach it (${refusal.said}).${through}`;
}

/** What a proxy said when it refused to connect. `denied`: it wants other credentials, or forbids it. */
export interface ProxyRefusal {
  readonly said: string;
  readonly denied: boolean;
}

/** What a proxy said when it refused to connect; undefined when the error is another one. */
export function proxyRefusal(error: unknown): ProxyRefusal | undefined {
  // fetch hides the error of the connection in the cause of its own; the library has no field for the status.
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const status = Number(/^Proxy response \((\d{3})\)/.exec(at.message)?.[1]);
    if (status > 0) return { said: `HTTP ${status}`, denied: status === 401 || status === 403 || status === 407 };
    const code = 'code' in at && typeof at.code === 'string' ? at.code : '';
    const socks = /^UND_ERR_SOCKS5_(AUTH_\w+|REPLY_\d+)$/.exec(code)?.[1];
    // RFC 1928, section 6: 2 is "connection not allowed by ruleset".
    if (socks !== undefined)
      return { said: `SOCKS ${socks}`, denied: socks.startsWith('AUTH_') || socks === 'REPLY_2' };
  }
  return undefined;
}
