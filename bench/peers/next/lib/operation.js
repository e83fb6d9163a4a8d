// A route handler for an operation: who is calling, what is asked for, what
// the database answers, and a line of the log.

import { isIP } from "node:net";

import {
    bearer, caller, notModified, parameters, Problem, requestId, shape,
    violations,
} from "peers-common";

import { services } from "./services.js";
import { verify } from "./token.js";

const BODY = 1024 * 1024;

export function operation(id) {
    return logged(async (request, context, line) => {
        const service = await services();
        const { api, database, settings, validators } = service;
        const described = api.operations[id];
        const valid = validators[id];

        const who = caller(api, described, settings,
            await verify(service, bearer(request.headers.get("authorization"))));

        line.subject = who.subject;
        line.partner = who.partner;

        const body = described.body && await json(request, valid.body);
        const path = checked("path", described, await context.params ?? {},
            valid.path);
        const query = checked("query", described, shape(described,
            pairs(request.nextUrl.searchParams)), valid.query);
        const headers = checked("header", described,
            Object.fromEntries(request.headers), valid.header);

        const answer = await database.call(described, who,
            { id: line.reqId, ip: line.ip, agent: headers["user-agent"] },
            parameters(described, path, query, headers), body);

        if (!described.changes && notModified(headers["if-none-match"],
            answer.headers.ETag))
        {
            return new Response(null, { status: 304, headers: answer.headers });
        }

        return new Response(answer.body, {
            status: answer.status,
            headers: { "Content-Type": "application/json", ...answer.headers },
        });
    });
}

export function notAllowed(allow) {
    return logged(() => {
        throw Problem.method(allow);
    });
}

export const notFound = logged(async () => {
    const { api } = await services();

    throw Problem.path(api.base);
});

function logged(handler) {
    return async (request, context) => {
        const begun = performance.now();
        const { log } = await services();
        const line = {
            reqId: requestId(request.headers.get("x-request-id")),
            ip: address(request),
            method: request.method,
            url: request.nextUrl.pathname + request.nextUrl.search,
        };

        let response;

        try {
            response = await handler(request, context, line);
        } catch (error) {
            const told = Problem.is(error) ? error : Problem.internal();

            if (told.status >= 500) {
                log.error(error);
            }

            response = new Response(told.document(line.reqId),
                { status: told.status, headers: told.headers });
        }

        response.headers.set("X-Request-Id", line.reqId);
        log.info({ ...line, status: response.status,
            ms: performance.now() - begun });

        return response;
    };
}

// Next sets it to the connection's address where no proxy has set it before.

function address(request) {
    const [first] = (request.headers.get("x-forwarded-for") ?? "").split(",");

    return isIP(first.trim()) ? first.trim() : "127.0.0.1";
}

async function json(request, valid) {
    const type = request.headers.get("content-type");

    if (request.body === null || request.headers.get("content-length") === "0")
    {
        throw Problem.noBody();
    }

    if (!/^application\/json *(;|$)/i.test(type ?? "")) {
        throw Problem.mediaType();
    }

    if (Number(request.headers.get("content-length")) > BODY) {
        throw Problem.tooLarge();
    }

    const text = await request.text();

    if (text.length > BODY) {
        throw Problem.tooLarge();
    }

    let value;

    try {
        value = JSON.parse(text);
    } catch (error) {
        throw Problem.notJson(error.message);
    }

    if (!valid(value)) {
        throw Problem.body(violations(valid.errors));
    }

    return value;
}

// { name: text or texts }

function pairs(search) {
    return Object.fromEntries([...new Set(search.keys())].map((name) => {
        const values = search.getAll(name);

        return [name, values.length === 1 ? values[0] : values];
    }));
}

function checked(where, described, value, valid) {
    if (!valid(value)) {
        throw Problem.parameters(described, where, violations(valid.errors));
    }

    return value;
}
