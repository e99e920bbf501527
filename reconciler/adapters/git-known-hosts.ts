// Reads known_hosts text (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT") and judges the key that an SSH server shows.
import crypto from 'node:crypto';

/** The keys that a host may show. */
export interface KnownKeys {
  /** Algorithms to ask the server for, so that it does not show a key of a kind that nobody noted. */
  readonly algorithms: readonly string[];
  /** Whether this key (its wire form) is noted for the host and not revoked. */
  accepts(key: Buffer): boolean;
}

/** How an RSA key may sign today; the key itself is always called ssh-rsa. */
const rsaSignatures = ['rsa-sha2-512', 'rsa-sha2-256'];

function matches(pattern: string, host: string): boolean {
  if (pattern.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = pattern.split('|');
    return crypto.createHmac('sha1', Buffer.from(salt, 'base64')).update(host).digest('base64') === hash;
  }
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`, 'i').test(host);
}

/** Whether a line's list of patterns names the host; a pattern with `!` takes it out again. */
function lineNames(patterns: string, hosts: readonly string[]): boolean {
  let named = false;
  for (const pattern of patterns.split(',')) {
    const negated = pattern.startsWith('!');
    if (hosts.some((host) => matches(negated ? pattern.slice(1) : pattern, host))) {
      if (negated) return false;
      named = true;
    }
  }
  return named;
}

export function knownKeys(text: string, host: string, port: number): KnownKeys {
  const hosts = port === 22 ? [host, `[${host}]:22`] : [`[${host}]:${port}`];
  const accepted: Buffer[] = [];
  const revoked: Buffer[] = [];
  const algorithms = new Set<string>();
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[0] === undefined || words[0] === '' || words[0].startsWith('#')) continue;
    const marker = words[0].startsWith('@') ? words.shift() : undefined;
    const [patterns = '', type = '', key = ''] = words;
    // Lines for certificate authorities are not keys of the host itself.
    if (marker === '@cert-authority' || key === '' || !lineNames(patterns, hosts)) continue;
    if (marker === '@revoked') revoked.push(Buffer.from(key, 'base64'));
    else {
      accepted.push(Buffer.from(key, 'base64'));
      for (const algorithm of type === 'ssh-rsa' ? rsaSignatures : [type]) algorithms.add(algorithm);
    }
  }
  return {
    algorithms: [...algorithms],
    accepts: (key) => accepted.some((one) => one.equals(key)) && !revoked.some((one) => one.equals(key)),
  };
}
