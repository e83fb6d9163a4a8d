// What a process has one of, made when it starts and not before: while "next
// build" looks at the routes there is no environment.

import { importSPKI } from "jose";
import {
    accessLog, ajv, Api, configuration, Database, parameterSchemas,
} from "peers-common";

async function make() {
    const settings = configuration();
    const api = new Api(settings.openapi);
    const log = accessLog(settings.accessLog);

    return {
        settings,
        api,
        log,
        key: await importSPKI(settings.publicKey, "RS256"),
        validators: validators(api),
        database: new Database(settings.connections,
            (error) => log.error(error, "a connection was lost")),
    };
}

function validators(api) {
    const strict = ajv(api);
    const coercing = ajv(api, { coerceTypes: "array" });

    return Object.fromEntries(["tenant_create", "tenant_list", "tenant_get"]
        .map((id) => {
            const operation = api.operations[id];
            const schemas = parameterSchemas(operation);

            return [id, {
                body: operation.body && strict.compile(operation.body),
                path: coercing.compile(schemas.params),
                query: coercing.compile(schemas.querystring),
                header: coercing.compile(schemas.headers),
            }];
        }));
}

// each route may have a copy of this module

export function services() {
    return globalThis.provisioning ??= make();
}
