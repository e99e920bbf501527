// A package of the lab whose newer version fails to configure until somebody mends the node.
import { must } from '../os/commands.ts';
import { publish } from './node-base.ts';

/** Its name. */
export const brokenPackage = 'lab-broken';
/** A node is mended when this file is there. */
export const mendedFile = '/etc/lab-mended';

/**
 * Puts version 1.1, which fails to configure, into a repository folder of the real nodes. The answer is a shell script that installs version
 * 1.0 on a node, so that 1.1 is a security update there.
 */
export async function publishBrokenPackage(repository: string): Promise<string> {
  const build = `set -e
    home=$(mktemp -d); pool=$1
    make() { # VERSION
      mkdir -p "$home/$1/DEBIAN"
      printf 'Package: ${brokenPackage}\\nVersion: %s\\nArchitecture: all\\nMaintainer: lab <lab@example.invalid>\\nDescription: a package of the lab\\n' "$1" > "$home/$1/DEBIAN/control"
    }
    make 1.0; make 1.1
    printf '#!/bin/sh\\ntest -e ${mendedFile}\\n' > "$home/1.1/DEBIAN/postinst"; chmod 755 "$home/1.1/DEBIAN/postinst"
    dpkg-deb --root-owner-group -b "$home/1.0" "$home/old.deb" >/dev/null
    dpkg-deb --root-owner-group -b "$home/1.1" "$pool/${brokenPackage}_1.1_all.deb" >/dev/null
    base64 -w 0 "$home/old.deb"; rm -rf "$home"`;
  const old = await must('sh', ['-c', build, 'build', `${repository}/pool`]);
  await publish(repository);
  return `echo ${old} | base64 -d > /root/old.deb && dpkg -i /root/old.deb && rm /root/old.deb`;
}
