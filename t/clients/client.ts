// A partner's system in TypeScript, its types made of the served documents by
// openapi-typescript: makes a tenant, reads it, is told of a mistake, deletes
// it.  Started by t/clients.t with BASE_URL and TOKEN; says what it has seen as
// one line of JSON.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./partner.js";
import type { paths as operators } from "./operator.js";

const client = createClient<paths>({
    baseUrl: process.env["BASE_URL"] ?? "",
    headers: { Authorization: `Bearer ${process.env["TOKEN"] ?? ""}` },
});

const created = await client.POST("/tenants", {
    params: { header: { "Idempotency-Key": "typescript-1" } },
    body: {
        client_name: "Typed",
        email: "typed@example.com",
        metadata: { language: "TypeScript" },
    },
});

assert.equal(created.response.status, 201);
assert(created.data !== undefined && "tenant" in created.data);
const tenant: string = created.data.tenant;

const path = { tenant };
const read = await client.GET("/tenants/{tenant}", { params: { path } });

assert.deepEqual(read.data, created.data);

// the compiler knows what the API would refuse

const refused = await client.POST("/tenants", {
    // @ts-expect-error: a name is a string
    body: { client_name: 4711, email: "x@example.com" },
});

assert.equal(refused.error?.code, "invalid_body");

const deleted = await client.DELETE("/tenants/{tenant}", {
    params: { path },
});
const after = await client.GET("/tenants/{tenant}", { params: { path } });

assert.equal(deleted.response.status, 200);
assert.equal(after.data?.status, "deleted");

// the other document is used by its types alone

const suspend: keyof operators = "/partners/{partner}/suspend";

console.log(JSON.stringify({
    tenant,
    refused: refused.error?.code,
    status: after.data?.status,
    operators: suspend,
}));
