// The gateway's own documents: who may call an operation, and which schemas
// its parameters and its body have.  So what is validated is what the gateway
// validates.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const DOCUMENT = "partner.json";

// those that are served here
const OPERATIONS = [
    ["tenant_create", "post", "/tenants"],
    ["tenant_list", "get", "/tenants"],
    ["tenant_get", "get", "/tenants/{tenant}"],
];

export class Api {
    constructor(directory) {
        this.files = {};

        for (const name of readdirSync(directory)) {
            if (name.endsWith(".json")) {
                this.files[name] = JSON.parse(
                    readFileSync(join(directory, name), "utf8"));
            }
        }

        const document = this.files[DOCUMENT];

        this.base = document.servers[0].url;
        this.roles = document["x-roles"];
        this.operations = {};

        for (const [id, method, path] of OPERATIONS) {
            this.operations[id] = this.operation(id, method, path);
        }
    }

    operation(id, method, path) {
        const item = this.files[DOCUMENT].paths[path];
        const operation = item[method];
        const place = `/paths/${path.replaceAll("/", "~1")}`;
        const all = (parameters, where) => (parameters ?? []).map(
            (_, i) => this.parameter(`${where}/parameters/${i}`));

        return {
            id,
            base: this.base,
            changes: method !== "get",
            permission: operation["x-permission"],
            body: operation.requestBody?.content["application/json"].schema,
            parameters: [
                ...all(item.parameters, place),
                ...all(operation.parameters, `${place}/${method}`),
            ],
        };
    }

    // Its schema stays where it is, so that what it refers to is found.

    parameter(place) {
        let [file, pointer] = [DOCUMENT, place];
        let parameter = this.at(file, pointer);

        if (parameter.$ref) {
            const [name, rest] = parameter.$ref.split("#");

            [file, pointer] = [name || file, rest];
            parameter = this.at(file, pointer);
        }

        return {
            name: parameter.name,
            in: parameter.in,
            required: parameter.required === true,
            list: parameter.schema.type === "array",
            commas: parameter.schema.type === "array"
                && parameter.explode === false,
            deep: parameter.style === "deepObject",
            schema: { $ref: `${file}#${encodeURI(pointer)}/schema` },
        };
    }

    // A JSON pointer (RFC 6901) into a document.

    at(file, pointer) {
        return pointer.split("/").slice(1).reduce((value, step) =>
            value[step.replaceAll("~1", "/").replaceAll("~0", "~")],
        this.files[file]);
    }

    // "tenant:*" grants "tenant:read"

    permits(roles, permission) {
        const all = `${permission.split(":")[0]}:*`;

        return roles.some((role) => Object.hasOwn(this.roles, role)
            && this.roles[role].some((granted) => granted === permission
                || granted === all || granted === "*"));
    }
}
