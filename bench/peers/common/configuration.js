// What a service is told by its environment.  Where PostgreSQL is, PGHOST and
// its kin say to pg itself.

import { readFileSync } from "node:fs";

export function configuration(environment = process.env) {
    const value = (name) => {
        if (!environment[name]) {
            throw new Error(`${name} is not set; see bench/peers/README.md`);
        }

        return environment[name];
    };

    return {
        host: environment.HOST || "127.0.0.1",
        port: Number(value("PORT")),
        openapi: value("OPENAPI"),
        issuer: value("ISSUER"),
        audience: value("AUDIENCE"),
        publicKey: readFileSync(value("PUBLIC_KEY_FILE"), "utf8"),
        partnerClaim: environment.PARTNER_CLAIM || "partner",
        rolesClaim: environment.ROLES_CLAIM || "roles",
        connections: Number(environment.PGPOOL) || 4,
        accessLog: environment.ACCESS_LOG || 1,
    };
}
