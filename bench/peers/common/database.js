// The gateway's statements, over a pool of connections.  What PostgreSQL has
// written as the body goes out as it is.

import pg from "pg";
import { v7 as uuidv7 } from "uuid";

import { Problem } from "./problem.js";

// how often a change that collides with others is tried
const ATTEMPTS = 4;

// of a user agent, as the gateway cuts it
const AGENT = 256;

// no value is worth more than its text here
const text = { getTypeParser: () => (value) => value };

// the server ends the connection that it says this on
const LAST_WORDS = ["57P01", "57P02", "57P03"];

// what is JSON, and no jsonb: a NUL, half of a surrogate pair
const UNKEPT = [400, "invalid_json",
    "The request has characters that cannot be kept."];

// SQLSTATE, or its class: the answer, Retry-After
const STATES = {
    "40001": [503, "conflict_retry", "The change has collided with others "
        + "repeatedly; nothing was changed. Repeat the request.", 1],
    "40P01": [503, "conflict_retry", "The change has collided with others "
        + "repeatedly; nothing was changed. Repeat the request.", 1],
    "55P03": [409, "in_progress", "Another request is changing the same "
        + "thing; nothing was changed. Repeat the request a little later.", 1],
    "57014": [504, "query_timeout",
        "The database took too long; nothing was changed."],
    "22P02": UNKEPT,
    "22P05": UNKEPT,
    "53": [503, "database_overloaded",
        "The database is out of resources; nothing was changed.", 5],
    "57": [503, "database_unavailable",
        "The database is not available; nothing was changed.", 1],
};

export class Database {
    constructor(connections, failed) {
        this.pool = new pg.Pool({
            max: connections,
            connectionTimeoutMillis: 5000,
            idleTimeoutMillis: 60000,
            keepAlive: true,
            application_name: "peer",
        });

        // an idle connection that is lost: the pool has dropped it
        this.pool.on("error", failed);
    }

    close() {
        return this.pool.end();
    }

    // { status, headers, body } of an operation, or a Problem is thrown

    async call(operation, caller, request, parameters, body) {
        const values = [
            context(operation, caller, request),
            JSON.stringify(parameters),
            body === undefined ? null : JSON.stringify(body),
        ];
        const query = { ...statement(operation, parameters), values,
            rowMode: "array", types: text };

        for (let attempt = 1; ; attempt++) {
            try {
                return answer(await this.run(operation, query));
            } catch (error) {
                if (attempt < ATTEMPTS && (error.code === "40001"
                    || error.code === "40P01"))
                {
                    continue;
                }

                throw error instanceof pg.DatabaseError ? refused(error)
                    : error;
            }
        }
    }

    async run(operation, query) {
        const client = await this.connection();
        let lost;

        try {
            return (await client.query(query)).rows;
        } catch (error) {
            if (!(error instanceof pg.DatabaseError)) {
                lost = true;
                throw operation.changes ? new Problem(502, "outcome_unknown",
                    "The connection to the database was lost under the "
                    + "change; read before you repeat it.") : away(error);
            }

            lost = LAST_WORDS.includes(error.code);
            throw error;
        } finally {
            client.release(lost);
        }
    }

    async connection() {
        try {
            return await this.pool.connect();
        } catch (error) {
            throw error instanceof pg.DatabaseError ? refused(error)
                : away(error);
        }
    }
}

// What prov.enter() takes: docs/database.md lists its members.

function context(operation, caller, request) {
    const { partner, ...principal } = caller;
    const made = {
        request_id: request.id,
        operation: operation.id,
        base: operation.base,
        ip: request.ip,
        user_agent: (request.agent ?? "").slice(0, AGENT),
        permission: operation.permission,
        partner,
        principal: { kind: "user", ...principal },
    };

    // a change has an id, and one for what it may make

    if (operation.changes) {
        made.mutation = uuidv7();
        made.id = uuidv7();
    }

    return JSON.stringify(made);
}

function statement(operation, parameters) {
    if (operation.changes && parameters.dry_run) {
        return operation.dryRun ??= {
            name: `${operation.id}_dry_run`,
            text: "select r.status, r.body, r.headers from prov.enter($1) e "
                + "left join lateral prov.dry_run(e.ctx, $2, $3, 'partner', "
                + `'${operation.id}') r on true`,
        };
    }

    if (operation.changes && parameters["Idempotency-Key"] !== undefined) {
        return operation.keyed ??= {
            name: `${operation.id}_keyed`,
            text: "select f.status, f.body, f.headers from prov.enter($1) e "
                + "left join lateral prov.idempotency_begin(e.ctx, $2, $3) b "
                + "on true left join lateral (select o.status, o.body, "
                + `o.headers from partner.${operation.id}(e.ctx, $2, $3) o `
                + "where b.begun is not null offset 0) r on true left join "
                + "lateral prov.idempotency_end(e.ctx, b.begun, "
                + "coalesce(b.status, r.status), coalesce(b.body, r.body), "
                + "coalesce(b.headers, r.headers)) f on true",
        };
    }

    return operation.statement ??= {
        name: operation.id,
        text: "select r.status, r.body, r.headers from prov.enter($1) e left "
            + `join lateral partner.${operation.id}(e.ctx, $2, $3) r on true`,
    };
}

function answer(rows) {
    if (rows.length === 0) {
        throw new Problem(403, "partner_unknown", "The partner that the token "
            + "names is not known here, or not active.");
    }

    const [status, body, headers] = rows[0];
    const set = headers === null ? {} : JSON.parse(headers);

    if (status === null) {
        throw Problem.internal();
    }

    if (status >= 400) {
        const { code, detail, ...members } = JSON.parse(body);

        throw new Problem(Number(status), code, detail,
            { headers: set, members });
    }

    return { status: Number(status), headers: set, body };
}

// What a function raises on purpose is told, the rest in general words.

function refused(error) {
    const { code: state } = error;

    if (state.startsWith("PV")) {
        return new Problem(Number(state.slice(2)),
            error.constraint ?? "refused", error.message,
            { members: error.detail ? JSON.parse(error.detail) : undefined });
    }

    if (state.startsWith("23")) {
        const code = (error.constraint ?? "constraint_violated")
            .replace(/_\d+$/, "");

        return state === "23502" || state === "23514"
            ? new Problem(422, code, "A value is not allowed by a rule of the "
                + "database; the code names the rule.")
            : new Problem(409, code, "The change conflicts with what is "
                + "there; the code names the rule.");
    }

    const [status, code, detail, retry] = STATES[state]
        ?? STATES[state.slice(0, 2)] ?? [];

    return status === undefined ? error : new Problem(status, code, detail,
        { headers: retry ? { "Retry-After": String(retry) } : undefined });
}

// pg-pool says with these words that no connection became free in time

function away(error) {
    return /timeout exceeded/.test(error.message)
        ? new Problem(504, "queue_timeout", "The request has waited for the "
            + "database for too long; nothing was done.")
        : new Problem(503, "database_unavailable", "The database cannot be "
            + "reached; nothing was done.", { headers: { "Retry-After": "1" } });
}
