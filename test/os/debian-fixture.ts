// Real Debian roots with their security archive among the sources: what is pending today is pending there.
import { copyOf, debianBase, mainLine, securityLine, type Debian, type Root } from './roots.ts';

/** A root whose sources name the security archive too, in one of the two formats. */
export async function debianNode(release: Debian, format: 'one-line' | 'deb822'): Promise<Root> {
  const root = await copyOf(await debianBase(release));
  await root.ok('rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*');
  if (format === 'one-line')
    await root.write('/etc/apt/sources.list', `${mainLine(release)}\n${securityLine(release)}\n`);
  else {
    const stanza = (line: string): string => {
      const [, uri, suite, component] = line.split(' ');
      return `Types: deb\nURIs: ${uri ?? ''}\nSuites: ${suite ?? ''}\nComponents: ${component ?? ''}\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n`;
    };
    await root.write(
      '/etc/apt/sources.list.d/debian.sources',
      `${stanza(mainLine(release))}\n${stanza(securityLine(release))}`,
    );
  }
  return root;
}
