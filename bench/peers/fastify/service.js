// The service: who is calling is known before the body is read, Fastify
// validates with Ajv what the document describes, and the database answers.

import Fastify from "fastify";
import { createVerifier } from "fast-jwt";
import {
    accessLog, ajv, Api, bearer, caller, Database, notModified, parameters,
    parameterSchemas, Problem, refusal, requestId, shape, violations,
} from "peers-common";

// verified tokens that a process remembers, as many as the gateway's worker
const TOKENS = 4096;

const BODY = 1024 * 1024;

const REFUSALS = {
    FAST_JWT_EXPIRED: "token_expired",
    FAST_JWT_INACTIVE: "token_not_yet_valid",
    FAST_JWT_INVALID_ALGORITHM: "token_unsupported_algorithm",
    FAST_JWT_INVALID_SIGNATURE: "token_bad_signature",
    FAST_JWT_MISSING_SIGNATURE: "token_malformed",
};

const CLAIMS = { iss: "token_unknown_issuer", aud: "token_wrong_audience" };

const PLACES = { params: "path", querystring: "query", headers: "header" };

export function service(settings) {
    const api = new Api(settings.openapi);
    const log = accessLog(settings.accessLog);
    const database = new Database(settings.connections,
        (error) => log.error(error, "a connection was lost"));

    const app = Fastify({
        logger: log,
        disableRequestLogging: true,
        bodyLimit: BODY,
        genReqId: (request) => requestId(request.headers["x-request-id"]),
    });

    const strict = ajv(api);
    const coercing = ajv(api, { coerceTypes: "array" });

    app.setValidatorCompiler(({ schema, httpPart }) =>
        (httpPart === "body" ? strict : coercing).compile(schema));

    const verify = verifier(settings);

    app.decorateRequest("caller", null);

    app.addHook("onRequest", (request, reply, done) => {
        reply.header("X-Request-Id", request.id);

        const { operation } = request.routeOptions.config;

        if (operation) {
            request.caller = caller(api, operation, settings,
                verify(bearer(request.headers.authorization)));
        }

        done();
    });

    app.addHook("onResponse", (request, reply, done) => {
        request.log.info({
            ip: request.ip,
            method: request.method,
            url: request.url,
            status: reply.statusCode,
            ms: reply.elapsedTime,
            subject: request.caller?.subject,
            partner: request.caller?.partner,
        });
        done();
    });

    app.addHook("onClose", () => database.close());

    app.setErrorHandler((error, request, reply) => {
        const told = problem(error, request.routeOptions.config.operation);

        if (told.status >= 500) {
            request.log.error(error);
        }

        return reply.code(told.status).headers(told.headers)
            .send(told.document(request.id));
    });

    app.setNotFoundHandler(() => {
        throw Problem.path(api.base);
    });

    function route(method, path, id) {
        const operation = api.operations[id];

        app.route({
            method,
            url: api.base + path,
            schema: { body: operation.body, ...parameterSchemas(operation) },
            config: { operation },
            preValidation: (request, reply, done) => {
                request.query = shape(operation, request.query);
                done(operation.body && request.body == null
                    ? Problem.noBody() : undefined);
            },
            handler: async (request, reply) => {
                const { id, ip, headers } = request;
                const answer = await database.call(operation, request.caller,
                    { id, ip, agent: headers["user-agent"] },
                    parameters(operation, request.params, request.query,
                        headers),
                    request.body ?? undefined);

                reply.headers(answer.headers);

                if (!operation.changes && notModified(
                    headers["if-none-match"], answer.headers.ETag))
                {
                    return reply.code(304).send();
                }

                return reply.code(answer.status).type("application/json")
                    .send(answer.body);
            },
        });
    }

    route("POST", "/tenants", "tenant_create");
    route("GET", "/tenants", "tenant_list");
    route("GET", "/tenants/:tenant", "tenant_get");

    for (const [path, others, allow] of [
        ["/tenants", ["PUT", "PATCH", "DELETE"], "GET, POST"],
        ["/tenants/:tenant", ["POST", "PUT", "PATCH", "DELETE"], "GET"],
    ]) {
        app.route({
            method: others,
            url: api.base + path,
            onRequest: (request, reply, done) => done(Problem.method(allow)),
            handler: () => {},
        });
    }

    return app;
}

// The claims of a token, or a problem is thrown; remembers what it verified.

function verifier(settings) {
    const verify = createVerifier({
        key: settings.publicKey,
        algorithms: ["RS256"],
        allowedIss: settings.issuer,
        allowedAud: settings.audience,
        requiredClaims: ["iss", "aud", "exp", "sub"],
        cache: TOKENS,
    });

    return (token) => {
        try {
            return verify(token);
        } catch (error) {
            const [, claim] = error.message.match(/(\w+) claim/) ?? [];

            if (error.code === "FAST_JWT_MISSING_REQUIRED_CLAIM") {
                throw refusal("token_claim_missing",
                    `The token's claim "${claim}" is missing.`);
            }

            throw refusal((error.code === "FAST_JWT_INVALID_CLAIM_VALUE"
                ? CLAIMS[claim] : REFUSALS[error.code])
                ?? "token_malformed");
        }
    };
}

// What Fastify has found, in our words.

function problem(error, operation) {
    if (Problem.is(error)) {
        return error;
    }

    if (error.validation) {
        const told = violations(error.validation);

        return error.validationContext === "body" ? Problem.body(told)
            : Problem.parameters(operation, PLACES[error.validationContext],
                told);
    }

    switch (error.code) {
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
        return Problem.noBody();
    case "FST_ERR_CTP_BODY_TOO_LARGE":
        return Problem.tooLarge();
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
        return Problem.mediaType();
    default:
        return error.statusCode === 400 ? Problem.notJson(error.message)
            : Problem.internal();
    }
}
