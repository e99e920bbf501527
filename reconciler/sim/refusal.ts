// How the API says no: Status objects with the codes and reasons of the real server.

/** One cause inside a Status. */
export interface Cause {
  reason: string;
  message: string;
  field?: string;
}

/** The Status object of the API. */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: object;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: {
    name?: string;
    group?: string;
    kind?: string;
    uid?: string;
    causes?: Cause[];
    retryAfterSeconds?: number;
  };
  code: number;
}

/** Thrown inside the simulation where a request is refused; the request handler turns it into an answer. */
export class Refusal extends Error {
  readonly status: Status;
  constructor(status: Status) {
    super(status.message ?? 'refused');
    this.status = status;
  }
}

/** A failure Status. */
export function failure(code: number, reason: string, message: string, details?: Status['details']): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  };
}

/** Words that name an object in a message. */
export interface Subject {
  group: string;
  plural: string;
  kind: string;
}

const qualified = (subject: Subject): string =>
  subject.group === '' ? subject.plural : `${subject.plural}.${subject.group}`;

const details = (subject: Subject, name: string): NonNullable<Status['details']> => ({
  name,
  ...(subject.group === '' ? {} : { group: subject.group }),
  kind: subject.plural,
});

/** 404 for an object that does not exist. */
export function notFound(subject: Subject, name: string): Refusal {
  return new Refusal(failure(404, 'NotFound', `${qualified(subject)} "${name}" not found`, details(subject, name)));
}

/** 404 for a path that nothing serves. */
export function noSuchPath(): Refusal {
  return new Refusal(failure(404, 'NotFound', 'the server could not find the requested resource', {}));
}

/** 409 for a name that is taken. */
export function alreadyExists(subject: Subject, name: string): Refusal {
  return new Refusal(
    failure(409, 'AlreadyExists', `${qualified(subject)} "${name}" already exists`, details(subject, name)),
  );
}

/** 409 for a write that was based on something old, or whose precondition does not hold. */
export function conflict(subject: Subject, name: string, message: string): Refusal {
  return new Refusal(
    failure(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${qualified(subject)} "${name}": ${message}`,
      details(subject, name),
    ),
  );
}

/** 409 of a write with an old resourceVersion. */
export function stale(subject: Subject, name: string): Refusal {
  return conflict(
    subject,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

/** 422 with one cause for each field that is wrong. */
export function invalid(subject: Subject, name: string, causes: Cause[]): Refusal {
  const said = causes.map((cause) => `${cause.field ?? ''}: ${cause.message}`);
  const text = said.length === 1 ? said.join('') : `[${said.join(', ')}]`;
  return new Refusal(
    failure(
      422,
      'Invalid',
      `${subject.kind}${subject.group === '' ? '' : `.${subject.group}`} "${name}" is invalid: ${text}`,
      {
        name,
        ...(subject.group === '' ? {} : { group: subject.group }),
        kind: subject.kind,
        causes,
      },
    ),
  );
}

/** 400 for a request that cannot be understood. */
export function badRequest(message: string): Refusal {
  return new Refusal(failure(400, 'BadRequest', message));
}

/** 403 with a reason in words. */
export function forbidden(subject: Subject, name: string, why: string, causes?: Cause[]): Refusal {
  const text = `${qualified(subject)} "${name}" is forbidden: ${why}`;
  return new Refusal(
    failure(403, 'Forbidden', text, { ...details(subject, name), ...(causes === undefined ? {} : { causes }) }),
  );
}

/** 410 for a version that is no longer known. */
export function expired(message: string): Status {
  return failure(410, 'Expired', message);
}

/** 200 or 201 with nothing else to say. */
export function success(code: 200 | 201, about?: Status['details']): Status {
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code };
  return about === undefined ? status : { ...status, details: about };
}
