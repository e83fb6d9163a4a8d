// Problem details (RFC 9457), the gateway's members in the gateway's order.

import { STATUS_CODES } from "node:http";

// RFC 9110's phrases, where Node has older ones
const TITLES = { 413: "Content Too Large", 422: "Unprocessable Content" };

export class Problem extends Error {
    constructor(status, code, detail, { headers, errors, members } = {}) {
        super(detail);

        this.name = "Problem";
        this.status = status;
        this.code = code;
        this.errors = errors;
        this.members = members;
        this.headers = {
            "Content-Type": "application/problem+json", ...headers,
        };
    }

    // by name: a bundler may make several of this class

    static is(error) {
        return error.name === "Problem";
    }

    document(request) {
        return JSON.stringify({
            type: "about:blank",
            title: TITLES[this.status] ?? STATUS_CODES[this.status],
            status: this.status,
            detail: this.message,
            code: this.code,
            request_id: request,
            errors: this.errors,
            ...this.members,
        });
    }

    static body(errors) {
        return new Problem(400, "invalid_body",
            'The body is not as described; see "errors".', { errors });
    }

    // where is path, query or header; of a parameter nobody is told which of
    // its items is wrong

    static parameters(operation, where, violations) {
        return new Problem(400, "invalid_parameters",
            "A parameter of the path, the query or the headers is not as "
            + 'described; see "errors".', {
                errors: violations.map(({ pointer, code, message }) => ({
                    parameter: named(operation, where, pointer),
                    in: where,
                    ...code === "additional_properties"
                        ? { code: "unknown_parameter", message:
                            "is not a parameter of this operation" }
                        : { code, message },
                })),
            });
    }

    static noBody() {
        return new Problem(400, "body_required",
            "The operation needs a request body.");
    }

    static notJson(why) {
        return new Problem(400, "invalid_json",
            `The body is not acceptable JSON: ${why}.`);
    }

    static tooLarge() {
        return new Problem(413, "body_too_large",
            "The request body is larger than is accepted here.");
    }

    static mediaType() {
        return new Problem(415, "unsupported_media_type",
            "The body must be UTF-8 JSON with the Content-Type "
            + "application/json.", { headers: { Accept: "application/json" } });
    }

    static path(base) {
        return new Problem(404, "path_not_found", "There is nothing at this "
            + "path. The paths that exist are described at "
            + `${base}/openapi.json.`);
    }

    static method(allow) {
        return new Problem(405, "method_not_allowed", "This path does not "
            + `support the method; it supports ${allow}.`,
        { headers: { Allow: allow } });
    }

    static internal() {
        return new Problem(500, "internal_error", "The gateway failed. Report "
            + "the request_id to its operator.");
    }
}

// headers are validated in lower case, and told as they are described

function named(operation, where, pointer) {
    const [, name] = pointer.split("/");

    return where !== "header" ? name : operation.parameters.find((p) =>
        p.in === where && p.name.toLowerCase() === name).name;
}
