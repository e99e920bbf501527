// Structured logs by pino, with secrets redacted.
import { pino } from 'pino';
import type { Log } from '../ports.ts';

/** Fields that never reach a log line, wherever they are in it. */
const secretFields = ['token', 'password', 'authorization', 'privateKey', 'passphrase', 'secret'];

/** Credentials inside a URL, and bearer or basic headers inside a text. */
const secretText = /(\/\/)[^/\s:@]*:?[^/\s@]*@|((?:bearer|basic)\s+)[A-Za-z0-9+/=._-]{8,}/gi;

/** A text without credentials. */
export function withoutSecrets(text: string): string {
  return text.replace(secretText, (_all, slashes: string | undefined, scheme: string | undefined) =>
    slashes ? `${slashes}` : `${scheme ?? ''}[redacted]`,
  );
}

/** A log that writes one JSON line for each entry to standard error, or readable lines when `pretty`. */
export function openLog(options: {
  readonly level: string;
  readonly write?: (line: string) => void;
  readonly fields?: Record<string, unknown>;
}): Log {
  const destination = { write: options.write ?? ((line: string) => void process.stderr.write(line)) };
  const logger = pino(
    {
      level: options.level,
      base: options.fields ?? {},
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: [...secretFields, ...secretFields.map((field) => `*.${field}`)], censor: '[redacted]' },
      hooks: {
        logMethod(args, method) {
          const cleaned = args.map((argument): unknown =>
            typeof argument === 'string' ? withoutSecrets(argument) : cleanFields(argument),
          );
          method.apply(this, cleaned as Parameters<typeof method>);
        },
      },
    },
    destination,
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}

function cleanFields(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]): [string, unknown] => [
      key,
      typeof field === 'string' ? withoutSecrets(field) : field,
    ]),
  );
}

/** A log that says nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
