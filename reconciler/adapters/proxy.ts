// Proxies on the way to other hosts: which one the environment names, and when it was the proxy that said no.

/** The proxy that the environment names for this protocol, by the same rule as undici; hosts of NO_PROXY do without it. */
export function proxyOfEnvironment(url: string): string | undefined {
  const { env } = process;
  const plain = env['http_proxy'] ?? env['HTTP_PROXY'];
  const named = url.startsWith('https:') ? (env['https_proxy'] ?? env['HTTPS_PROXY'] ?? plain) : plain;
  return named === '' ? undefined : named;
}

/** The HTTP status with which a proxy refused to connect; undefined when the error is another one. `denied`: it wants other credentials, or forbids it. */
export function proxyRefusal(error: unknown): { readonly status: number; readonly denied: boolean } | undefined {
  // fetch hides the error of the connection in the cause of its own; the library has no field for the status.
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const status = Number(/^Proxy response \((\d{3})\)/.exec(at.message)?.[1]);
    if (status > 0) return { status, denied: status === 401 || status === 403 || status === 407 };
  }
  return undefined;
}
